/** What the label pages say of modes, settings, states and counts. */
import type { ExportForm, ImportReport, Mode, Progress, ProjectSettings, TaskRow } from '../../studio/labels/api.ts'
import type { Role } from '../../studio/session.ts'
import type { Tone } from '../ui/Card.tsx'
import { number } from '../ui/format.ts'

export const modes: Record<Mode, { name: string; about: string }> = {
  rank: { name: 'Rank', about: 'Put the responses in order, best first. Ties and unranked responses are allowed.' },
  pair: { name: 'Pair', about: 'Say which of two responses is better, and how clearly.' },
  best: { name: 'Best of several', about: 'Pick the one best response.' },
  rate: { name: 'Rate', about: 'Give each response a number on named scales.' },
  good: { name: 'Good or bad', about: 'Judge one response at a time.' },
  edit: { name: 'Edit', about: 'Write the better answer.' },
}
export const modeNames = Object.keys(modes) as Mode[]

export const defaults: ProjectSettings = {
  mode: 'rank',
  scales: [{ name: 'quality', min: 1, max: 5, low: 'poor', high: 'excellent' }],
  strengths: 2,
  edits: true,
  spans: false,
  bothBad: true,
  overlap: 1,
  repeats: 0,
  goldEvery: 0,
  order: 'file',
  seed: 1,
  blind: true,
  keys: {},
}

export const orders: Record<ProjectSettings['order'], string> = {
  file: 'As in the file',
  random: 'Random',
  informative: 'Most informative first',
}

export const strengths: Record<string, string> = {
  1: 'better',
  2: 'slightly or clearly better',
  3: 'slightly, clearly or much better',
}

export const roleWords: Record<Role, { name: string; about: string }> = {
  annotate: { name: 'Annotate', about: 'Labels, and sees only their own labels.' },
  adjudicate: { name: 'Adjudicate', about: 'Labels, sees all votes and agreement, decides between people, exports.' },
  own: { name: 'Own', about: 'May do everything.' },
}

export const states: Record<TaskRow['state'], { name: string; tone: Tone }> = {
  open: { name: 'Open', tone: 'plain' },
  labelled: { name: 'Labelled', tone: 'accent' },
  skipped: { name: 'Skipped', tone: 'warn' },
  finished: { name: 'Finished', tone: 'good' },
  adjudicated: { name: 'Adjudicated', tone: 'good' },
}

export const exportForms: Record<ExportForm, { name: string; about: string }> = {
  rows: { name: 'attune rows', about: 'Rankings as attune reads them: prompt, responses, ranks.' },
  preference: { name: 'Preference pairs', about: 'prompt, chosen, rejected: one row for each pair that was decided.' },
  kto: { name: 'Good and bad (KTO)', about: 'prompt, completion, label.' },
  votes: { name: 'Votes with their history', about: 'Everything that everybody did, in the order of time.' },
  trl: { name: 'TRL', about: 'Preference rows with conversations, as TRL reads them.' },
  'llama-factory': { name: 'LLaMA-Factory', about: 'instruction, chosen, rejected, as LLaMA-Factory reads them.' },
  'label-studio': { name: 'Label Studio', about: 'Tasks with annotations, as Label Studio imports and exports them.' },
  argilla: { name: 'Argilla', about: 'Records with responses, as Argilla imports them.' },
}

export const consensuses = {
  adjudicated: {
    name: 'Adjudicated, else majority',
    about: 'What an adjudicator decided; where nobody did, the majority.',
  },
  majority: { name: 'Majority', about: 'Each pair as most people decided it.' },
  'dawid-skene': {
    name: 'Dawid-Skene',
    about: 'Each vote counts as much as its annotator turned out to be reliable.',
  },
  'bradley-terry': {
    name: 'Bradley-Terry',
    about: 'A strength for each response from all votes together; the order follows it.',
  },
} as const

export const many = (value: number, one: string, more = `${one}s`) => `${number(value)} ${value === 1 ? one : more}`

/** "12 of 40 tasks finished, 15 votes" */
export const progressWords = ({ tasks, finished, votes }: Progress) =>
  tasks === 0 ? 'no tasks yet' : `${number(finished)} of ${many(tasks, 'task')} finished, ${many(votes, 'vote')}`

/** A name for a project from the name of its file: data/my_pairs.jsonl.gz -> my pairs. */
export const nameFromFile = (path: string) =>
  path
    .replace(/^.*\//, '')
    .replace(/\.(jsonl?|csv|tsv|parquet|xml|gz)\b/gi, '')
    .replace(/[-_.]+/g, ' ')
    .trim() || 'labels'

/** What the ranks of imported rows are. */
export const ranksMeanings = {
  nothing: { name: 'not used', about: 'People label from nothing.' },
  prediction: {
    name: 'a start for the annotator',
    about: 'They are filled in already; each has to be confirmed or changed.',
  },
  gold: {
    name: 'known answers',
    about: 'Votes are compared with them. Set “a known answer every” too, so that such tasks are asked now and then.',
  },
} as const

export const importWords = ({ added, already, dropped, leftOut }: ImportReport) => {
  if (leftOut)
    return leftOut.length === 0 ? 'the template is in use' : `the template is in use, without ${leftOut.join(', ')}`
  return [
    `${many(added, 'task')} added`,
    already > 0 && `${number(already)} were there already`,
    ...Object.entries(dropped).map(([reason, rows]) => `${many(rows, 'row')} left out (${reason})`),
  ]
    .filter(Boolean)
    .join(', ')
}
