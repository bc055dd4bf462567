/** The labels of a project as rows to train on: one row a task, what its votes agree on, a better answer that was written first. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Text } from '../../data/rows.ts'
import { consensusOf } from '../../feedback/votes/consensus.ts'
import type { Ranks, Task } from '../../feedback/votes/tasks.ts'
import type { Db } from '../../store/database.node.ts'
import { badInput } from '../../util/fault.ts'
import { makeFolders, writeWhole } from '../../util/files.node.ts'
import type { Mode, VoteRecord } from '../labels/api.ts'
import { readProject } from '../labels/projects.ts'
import { adjudicator, currentVote, currentVotes, passes, type StoredTask } from '../labels/tasks.ts'
import { ranksOf } from '../labels/verdicts.ts'
import type { Consensus, LabelFiles, LabelsRequest } from './api.ts'
import { tasksOf } from './projectTasks.ts'

export type LabelRow = { prompt: Text; [column: string]: unknown }

/** What each method learns from. */
type Form = 'ranking' | 'label' | 'completion'
const forms: Readonly<Record<string, Form>> = { dpo: 'ranking', reward: 'ranking', kto: 'label', sft: 'completion' }

/** The methods that can learn from the labels of a mode. */
export const methodsFor = (mode: Mode): string[] => (mode === 'good' ? ['kto'] : ['dpo', 'reward', 'sft'])

/** Where files of labels are written, below the studio's folder. */
export const labelFolder = 'attune-data'

/**
 * Writes the labels of a project into files that are named by their content: rows to train on, and rows of the prompts that
 * are held out. A prompt is held out by its own hash, so that it stays so when more tasks are labelled.
 */
export const writeLabels = async (
  db: Db,
  root: string,
  { project, method, consensus, heldOut }: LabelsRequest,
): Promise<LabelFiles> => {
  const { name, settings } = readProject(db, project)
  const form = forms[method]
  if (form === undefined || !methodsFor(settings.mode).includes(method))
    throw badInput(
      'wrong-kind',
      `labels of the mode ${settings.mode} train ${methodsFor(settings.mode).join(', ')}, not ${method}`,
    )
  const rows = trainingRows(db, project, settings.mode, form, consensus)
  if (!rows.length) throw badInput('no-labels', `the project ${name} has no label that ${method} can learn from yet`)
  const { training, held } = splitByPrompt(rows, heldOut)
  await makeFolders(join(root, labelFolder))
  const stem =
    name
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-|-$/g, '')
      .slice(0, 40) || 'labels'
  return {
    data: await writeRows(root, `${stem}-${method}`, training),
    rows: training.length,
    ...(held.length > 0 && { evalData: await writeRows(root, `${stem}-${method}-held-out`, held) }),
    evalRows: held.length,
    prompts: new Set(rows.map(({ prompt }) => JSON.stringify(prompt))).size,
  }
}

/** @returns the path below the root; nothing is written where the same rows are there already */
export const writeRows = async (root: string, stem: string, rows: readonly object[]): Promise<string> => {
  const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('')
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 10)
  const path = `${labelFolder}/${stem}-${hash}.jsonl`
  await makeFolders(join(root, labelFolder))
  if (!existsSync(join(root, path))) await writeWhole(join(root, path), [Buffer.from(text)])
  return path
}

/** A number in [0, 1) that a prompt has for ever. */
const shareOf = (prompt: Text): number =>
  createHash('sha256').update(JSON.stringify(prompt)).digest().readUInt32BE(0) / 2 ** 32

/** Where there are at least two prompts, at least one is on each side. */
export const splitByPrompt = (
  rows: readonly LabelRow[],
  heldOut: number,
): { training: LabelRow[]; held: LabelRow[] } => {
  const shares = [...new Set(rows.map(({ prompt }) => shareOf(prompt)))].sort((a, b) => a - b)
  if (heldOut === 0 || shares.length < 2) return { training: [...rows], held: [] }
  const least = shares[0]
  const most = shares.at(-1)!
  const isHeld = ({ prompt }: LabelRow) => {
    const share = shareOf(prompt)
    return share === least || (share !== most && share < heldOut)
  }
  return { training: rows.filter((row) => !isHeld(row)), held: rows.filter(isHeld) }
}

/** What is said of a task: the decision of an adjudicator where it counts and there is one, else everybody's first vote. */
const votesOf = (db: Db, { id }: StoredTask, consensus: Consensus): VoteRecord[] => {
  const decision = consensus === 'adjudicated' ? currentVote(db, id, adjudicator, passes.decision) : undefined
  if (decision) return [decision]
  return currentVotes(db, id).filter(({ kind, repeat }) => kind === 'vote' && !repeat)
}

export const trainingRows = (db: Db, project: number, mode: Mode, form: Form, consensus: Consensus): LabelRow[] => {
  const labelled = [...tasksOf(db, project)].flatMap((task) => {
    const votes = votesOf(db, task, consensus)
    return votes.length ? [{ task, votes }] : []
  })
  if (mode === 'good') return labelled.flatMap(({ task, votes }) => labelRow(task, votes))
  const tasks = labelled.map(({ task, votes }) => rankedTask(task, votes))
  const method = consensus === 'bradley-terry' ? 'bradley-terry' : 'majority'
  const { ranks } = consensusOf(tasks, method)
  return tasks.flatMap(({ prompt, responses }, t): LabelRow[] => {
    if (!isDecided(ranks[t])) return []
    if (form === 'ranking') return [{ prompt, responses, ranks: ranks[t] }]
    const best = ranks[t].indexOf(1)
    return [{ prompt, completion: responses[best] }]
  })
}

/** Some response is better than another one; an unranked one is behind those with a rank. */
const isDecided = (ranks: Ranks) =>
  new Set(ranks.filter((rank) => rank !== null)).size > 1 || (ranks.includes(1) && ranks.includes(null))

const labelRow = ({ prompt, responses }: StoredTask, votes: readonly VoteRecord[]): LabelRow[] => {
  const [response] = responses
  const good = votes.filter(({ value }) => value.good === true).length
  const bad = votes.filter(({ value }) => value.good === false || value.bothBad).length
  return !response || good === bad ? [] : [{ prompt, completion: response.text, label: good > bad }]
}

/** Answers that people wrote stand behind the others, each ranked first by its writer. */
const rankedTask = ({ id, prompt, responses }: StoredTask, votes: readonly VoteRecord[]): Task => {
  const texts = responses.map(({ text }) => text)
  const written = [...new Set(votes.flatMap(({ value }) => (value.edit ? [value.edit.text] : [])))].filter(
    (text) => !texts.includes(text),
  )
  const all = [...texts, ...written]
  return {
    id,
    prompt,
    responses: all,
    votes: votes.map(({ value, annotator }) => ({
      ranks: ranksWithEdit(all, ranksOf(value) ?? texts.map(() => null), value.edit),
      vote: { annotator },
    })),
  }
}

const ranksWithEdit = (
  all: readonly Text[],
  ranks: Ranks,
  edit: { text: string; from: number | null } | undefined,
): Ranks => {
  if (!edit) return all.map((_, i) => ranks[i] ?? null)
  // Behind the written answer comes what it was written from, then what was ranked
  const given = ranks.some((rank) => rank !== null) ? ranks : ranks.map((_, i) => (i === edit.from ? 1 : null))
  return all.map((text, i) => (text === edit.text ? 1 : given[i] == null ? null : given[i] + 1))
}
