/** Rows 9 and 23 at reduced size. */
import { testRows } from "./reduced.js";

testRows(9, 9);
testRows(23, 23);
