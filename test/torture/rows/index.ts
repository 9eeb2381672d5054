/** All rows, in the order of the table. */
import type { Row } from "../row.js";
import { row03 } from "./row-03-broker-killed.js";
import { row16 } from "./row-16-joins.js";

export const rows: readonly Row[] = [row03, row16];
