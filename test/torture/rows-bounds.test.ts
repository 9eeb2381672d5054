/** Rows 24 and 25 at reduced size. */
import { testRows } from "./reduced.js";

testRows(24, 25);
