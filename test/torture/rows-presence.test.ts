/** Row 20 at reduced size. */
import { testRows } from "./reduced.js";

testRows(20, 20);
