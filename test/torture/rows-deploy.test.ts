/** Rows 1 and 2 at reduced size. */
import { testRows } from "./reduced.js";

testRows(1, 2);
