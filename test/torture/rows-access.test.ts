/** Row 21 at reduced size. */
import { testRows } from "./reduced.js";

testRows(21, 21);
