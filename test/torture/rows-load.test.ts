/** Rows 16 to 18 at reduced size. */
import { testRows } from "./reduced.js";

testRows(16, 18);
