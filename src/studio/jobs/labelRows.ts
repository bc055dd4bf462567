/** The labels of a project as rows to train on: one row a task, what its votes agree on. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Text } from '../../data/rows.ts'
import type { Ranks } from '../../feedback/votes/tasks.ts'
import { badInput } from '../../util/fault.ts'
import { makeFolders, writeWhole } from '../../util/files.node.ts'
import type { Mode } from '../labels/api.ts'
import { exportRows } from '../labels/forParts.ts'
import type { Labels } from '../labels/labels.ts'
import { readProject } from '../labels/projects.ts'
import type { Consensus, LabelFiles, LabelsRequest } from './api.ts'

export type LabelRow = { prompt: Text; [column: string]: unknown }

/** The methods that can learn from the labels of a mode. */
export const methodsFor = (mode: Mode): string[] => (mode === 'good' ? ['kto'] : ['dpo', 'reward', 'sft'])

/** Where files of labels are written, below the studio's folder. */
export const labelFolder = 'attune-data'

/**
 * Writes the labels of a project into files that are named by their content: rows to train on, and rows of the prompts that
 * are held out. Those with the least hashes are held out, so that they mostly stay so when more tasks are labelled.
 */
export const writeLabels = async (
  labels: Labels,
  root: string,
  { project, method, consensus, heldOut, write = true }: LabelsRequest,
): Promise<LabelFiles> => {
  const { name, settings } = readProject(labels.db, project)
  if (!methodsFor(settings.mode).includes(method))
    throw badInput(
      'wrong-kind',
      `labels of the mode ${settings.mode} train ${methodsFor(settings.mode).join(', ')}, not ${method}`,
    )
  const { rows, undecided } = await trainingRows(labels, project, method, consensus)
  if (!rows.length) throw badInput('no-labels', `the project ${name} has no label that ${method} can learn from yet`)
  const { training, held } = splitByPrompt(rows, heldOut)
  const stem =
    name
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-|-$/g, '')
      .slice(0, 40) || 'labels'
  return {
    data: await writeRows(root, `${stem}-${method}`, training, write),
    rows: training.length,
    ...(held.length > 0 && { evalData: await writeRows(root, `${stem}-${method}-held-out`, held, write) }),
    evalRows: held.length,
    undecided,
    prompts: new Set(rows.map(({ prompt }) => JSON.stringify(prompt))).size,
  }
}

/** @param write false: only tells the path   @returns the path below the root; nothing is written where the same rows are there already */
export const writeRows = async (root: string, stem: string, rows: readonly object[], write = true): Promise<string> => {
  const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('')
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 10)
  const path = `${labelFolder}/${stem}-${hash}.jsonl`
  if (!write) return path
  await makeFolders(join(root, labelFolder))
  if (!existsSync(join(root, path))) await writeWhole(join(root, path), [Buffer.from(text)])
  return path
}

/** A number in [0, 1) that a prompt has for ever. */
const shareOf = (prompt: Text): number =>
  createHash('sha256').update(JSON.stringify(prompt)).digest().readUInt32BE(0) / 2 ** 32

/** The share of the prompts, rounded; where there are at least two prompts, at least one is on each side. */
export const splitByPrompt = (
  rows: readonly LabelRow[],
  heldOut: number,
): { training: LabelRow[]; held: LabelRow[] } => {
  const shares = [...new Set(rows.map(({ prompt }) => shareOf(prompt)))].sort((a, b) => a - b)
  if (heldOut === 0 || shares.length < 2) return { training: [...rows], held: [] }
  const count = Math.min(Math.max(1, Math.round(shares.length * heldOut)), shares.length - 1)
  const most = shares[count - 1]
  const isHeld = ({ prompt }: LabelRow) => shareOf(prompt) <= most
  return { training: rows.filter((row) => !isHeld(row)), held: rows.filter(isHeld) }
}

/** Rows of labels that say something, and how many tasks have none because no response is better than another one; of rankings for `sft` the best response. */
const trainingRows = async (
  labels: Labels,
  project: number,
  method: string,
  consensus: Consensus,
): Promise<{ rows: LabelRow[]; undecided: number }> => {
  const rows: LabelRow[] = []
  let undecided = 0
  for await (const record of exportRows(labels, project, { form: method === 'kto' ? 'kto' : 'rows', consensus })) {
    const row = record as LabelRow
    if (method === 'kto') rows.push(row)
    else if (Array.isArray(row.responses) && !isDecided(row.ranks)) undecided++
    else if (Array.isArray(row.responses)) {
      const { prompt, responses, ranks } = row
      rows.push(method === 'sft' ? { prompt, completion: responses[(ranks as Ranks).indexOf(1)] } : row)
    } else if (method === 'sft' && row.completion !== undefined) rows.push(row)
  }
  return { rows, undecided }
}

/** Some response is better than another one; one without a rank is behind those with a rank. */
const isDecided = (ranks: unknown): boolean =>
  Array.isArray(ranks) && ranks.includes(1) && new Set(ranks as Ranks).size > 1
