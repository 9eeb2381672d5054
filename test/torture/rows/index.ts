/** All rows, in the order of the table. */
import type { Row } from "../row.js";
import { row16 } from "./row-16-joins.js";

export const rows: readonly Row[] = [row16];
