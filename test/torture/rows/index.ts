/** All rows, in the order of the table. */
import type { Row } from "../row.js";
import { row01 } from "./row-01-rolling-deploy.js";
import { row02 } from "./row-02-nodes-killed.js";
import { row03 } from "./row-03-broker-killed.js";
import { row04 } from "./row-04-lost-tail.js";
import { row05 } from "./row-05-subscriber-cut.js";
import { row06 } from "./row-06-black-hole.js";
import { row07 } from "./row-07-last-event.js";
import { row08 } from "./row-08-answers-dropped.js";
import { row09 } from "./row-09-crash-corpus.js";
import { row10 } from "./row-10-stalled-readers.js";
import { row11 } from "./row-11-wrong-frames.js";
import { row12 } from "./row-12-floods.js";
import { row13 } from "./row-13-hazards.js";
import { row14 } from "./row-14-storm.js";
import { row15 } from "./row-15-jitter.js";
import { row16 } from "./row-16-joins.js";
import { row17 } from "./row-17-nats-killed.js";
import { row18 } from "./row-18-growing.js";
import { row19 } from "./row-19-half-open.js";
import { row20 } from "./row-20-ghosts.js";
import { row21 } from "./row-21-tokens.js";
import { row22 } from "./row-22-revoked.js";
import { row23 } from "./row-23-silent-clients.js";
import { row24 } from "./row-24-wrong-options.js";
import { row25 } from "./row-25-many-names.js";
import { row26 } from "./row-26-commands.js";
import { row27 } from "./row-27-records.js";

export const rows: readonly Row[] = [
  row01,
  row02,
  row03,
  row04,
  row05,
  row06,
  row07,
  row08,
  row09,
  row10,
  row11,
  row12,
  row13,
  row14,
  row15,
  row16,
  row17,
  row18,
  row19,
  row20,
  row21,
  row22,
  row23,
  row24,
  row25,
  row26,
  row27,
];
