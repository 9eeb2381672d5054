/** Row 2 at reduced size. */
import { testRows } from "./reduced.js";

testRows(2, 2);
