/** Row 1 at reduced size. */
import { testRows } from "./reduced.js";

testRows(1, 1);
