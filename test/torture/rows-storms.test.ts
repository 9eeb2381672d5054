/** Rows 14, 15 and 19 at reduced size. */
import { testRows } from "./reduced.js";

testRows(14, 15);
testRows(19, 19);
