/** Row 9 at reduced size. */
import { testRows } from "./reduced.js";

testRows(9, 9);
