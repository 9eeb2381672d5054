/** Rows 26 and 27 at reduced size. */
import { testRows } from "./reduced.js";

testRows(26, 27);
