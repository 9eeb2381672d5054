/** Row 22 at reduced size. */
import { testRows } from "./reduced.js";

testRows(22, 22);
