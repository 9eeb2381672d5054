/** Rows 3 to 8 at reduced size. */
import { testRows } from "./reduced.js";

testRows(3, 8);
