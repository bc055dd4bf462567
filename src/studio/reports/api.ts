/**
 * What the pages of reports and their server tell each other. A report is an HTML file below the studio's folder that attune
 * wrote: of `compare`, `bias`, the labs, `credit`, and of runs.
 *
 *     GET /api/reports                 ReportRow[]
 *     GET /api/reports/page?path=      the file, for a sandboxed frame
 *     GET /api/reports/numbers?path=   ReportNumbers
 */

export type ReportRow = {
  /** Below the studio's folder. */
  path: string
  title: string
  /** compare, bias, scaling, cartpole, demo, critique, credit, self-rewarding, calibration, run */
  kind: string
  changed: string
  bytes: number
  /** The file of numbers beside it. */
  numbers?: string
}

/** The numbers of a report as tables: a list of objects is one, and all single values together are one. */
export type ReportNumbers = { tables: { title: string; columns: string[]; rows: (string | number)[][] }[] }
