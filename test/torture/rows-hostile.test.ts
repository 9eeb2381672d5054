/** Rows 10 to 13 at reduced size. */
import { testRows } from "./reduced.js";

testRows(10, 13);
