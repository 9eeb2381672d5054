/** Row 26 at reduced size. */
import { testRows } from "./reduced.js";

testRows(26, 26);
