/**
 * Labelling: what the page and the server tell each other. All routes are below /api. Every change carries a `requestId`; a
 * request that is sent again with the same id changes nothing and gets the same answer.
 *
 *   GET    /projects                              ProjectSummary[] (an annotator: those open to them)
 *   POST   /projects                      own     NewProject -> Project
 *   GET    /projects/:id                          Project
 *   PATCH  /projects/:id                  own     ProjectChange -> Project
 *   DELETE /projects/:id                  own     {name} of the project, spelled out -> 204
 *   POST   /projects/:id/import           own     ImportRequest -> ImportReport (an upload: PUT /uploads/:name, streamed)
 *   GET    /projects/:id/next                     ?after=TASK -> TaskView, or {done: Progress}
 *   GET    /projects/:id/progress                 Progress
 *   GET    /projects/:id/tasks                    ?filter=&annotator=&sort=&search=&offset=&limit= -> TaskPage; sort: a name of
 *                                                 taskSorts, - before it for descending; an annotator sees their own votes alone
 *   GET    /projects/:id/agreement   adjudicate   Agreement
 *   GET    /projects/:id/adjudication adjudicate  ?offset=&limit= -> TaskPage, most disagreed first
 *   GET    /projects/:id/export      adjudicate   ?form=&votes=&consensus= -> a file, streamed
 *   GET    /projects/:id/template        own     -> XML: the project as a template of Label Studio
 *   POST   /projects/:id/template        own     {requestId, xml} -> ImportReport with leftOut: mode, scales, style of a template
 *   POST   /projects/:id/label-studio/push own   RemoteRequest -> PushReport: tasks and votes to a Label Studio server
 *   POST   /projects/:id/label-studio/pull own   RemoteRequest -> ImportReport: its tasks, votes there as the start for people here
 *   GET    /tasks/:id                             TaskView (?adjudicate=1: with all votes)
 *   GET    /tasks/:id/history        adjudicate   VoteRecord[]
 *   POST   /tasks/:id/votes                       NewVote -> Voted; status 409 and VoteConflict where somebody was first
 *   POST   /tasks/:id/skip                        {requestId, version, reason, seconds} -> Voted
 *   POST   /projects/:id/scores           own     NewScores -> 204: what reward models say, for the order `informative`
 *   PUT    /tasks/:id/draft                       {value} -> 204
 *   POST   /projects/:id/undo                     {requestId} -> TaskView of the task whose last vote or skip was taken back
 *   GET    /annotators                    own     AnnotatorInfo[]
 *   POST   /annotators                    own     {requestId, name, role, projects} -> AnnotatorInfo & {link}: shown once
 *   PATCH  /annotators/:id                own     {requestId, projects?, role?} -> AnnotatorInfo
 *   DELETE /annotators/:id                own     the link ends; the votes stay -> 204
 *   GET    /files                         own     ?folder= -> FileEntry[]: row files below the root
 *   GET    /files/preview                 own     ?file= or ?upload= -> FilePreview
 *
 * Live topics: project/ID (its counts changed), task/ID (somebody voted on it).
 */
import type { Text } from '../../data/rows.ts'
import type { Role } from '../session.ts'

// ---- projects ----------------------------------------------------------------------------------------------------------

/**
 * rank: order K responses, ties and unranked allowed. pair: which of two, and how clearly. rate: named scales for each
 * response. best: one of N. good: good or bad, one response. edit: write the better answer.
 */
export type Mode = 'rank' | 'pair' | 'rate' | 'best' | 'good' | 'edit'

export type Scale = { name: string; min: number; max: number; low?: string; high?: string }

export type ProjectSettings = {
  mode: Mode
  /** Of mode `rate`. */
  scales: Scale[]
  /** Of mode `pair`: how many steps of strength on each side, 1 (better) to 3 (slightly, clearly, much). */
  strengths: number
  /** In any mode: an annotator may write a better answer, mark spans, say that all are bad. */
  edits: boolean
  spans: boolean
  bothBad: boolean
  /** How many people label each task. */
  overlap: number
  /** Share of tasks that are shown to the same person again, later, to measure how far one agrees with oneself (0 to 0.5). */
  repeats: number
  /** Every n-th task of a person is one whose answer is known; 0: none. */
  goldEvery: number
  /** `file`: as imported; `informative`: where reward models disagree, or margins are small, first. */
  order: 'file' | 'random' | 'informative'
  /** Responses are shown in an order drawn from this seed, the task and the annotator; it is stored with the vote. */
  seed: number
  /** Names of sources (models) are hidden from annotators. */
  blind: boolean
  /** Keys, by action, that differ from the defaults of `keys.ts` in the page. */
  keys: Record<string, string>
  /** CSS and labels of an imported Label Studio template, sanitised; adopted as a style sheet of the task alone. */
  template?: {
    css: string
    title?: string
    /** Class names of the parts of a task, which the CSS finds them by. */
    classes?: { prompt?: string; item?: string; title?: string; body?: string }
  }
}

export type NewProject = { requestId: string; name: string; guidelines?: string; settings?: Partial<ProjectSettings> }
export type ProjectChange = {
  requestId: string
  name?: string
  guidelines?: string
  settings?: Partial<ProjectSettings>
}

export type Project = {
  id: number
  name: string
  /** Markdown. */
  guidelines: string
  settings: ProjectSettings
  createdAt: string
}

export type ProjectSummary = Pick<Project, 'id' | 'name'> & { mode: Mode; progress: Progress }

export type Progress = {
  tasks: number
  /** Tasks with as many votes as the overlap asks for. */
  finished: number
  votes: number
  /** This person's: labelled, skipped, still open to them, mean seconds of a vote, streak of today. */
  own: { labelled: number; skipped: number; open: number; seconds: number | null; today: number }
}

// ---- tasks -------------------------------------------------------------------------------------------------------------

/**
 * `source`: where it comes from: a model, a run, a person. Hidden from annotators of a blind project.
 * `cutOff`: the limit of new tokens ended it, as its finish_reason says.
 */
export type Response = { text: Text; source?: string; cutOff?: true }

/** A task as one person sees it. `responses` are in the stored order; `shown` is the order to show them in. */
export type TaskView = {
  id: number
  project: number
  /** Counted from 1 in the order of the project. */
  position: number
  prompt: Text
  responses: Response[]
  /** Stored indices in the order of the screen. */
  shown: number[]
  /** This person's vote or skip, if there is one. */
  vote?: VoteRecord
  draft?: VoteValue
  /** What a model or another tool predicts, as a start; `touched` stays false until the person changes something. */
  prediction?: VoteValue & { by: string }
  /** Counts this person's changes to the task (with ?adjudicate=1: the decisions on it); sent back with a vote. */
  version: number
  /** Rewards of reward models, by name, for adjudicators and owners. */
  scores?: Record<string, (number | null)[]>
  /** Adjudication: everyone's current votes. */
  votes?: VoteRecord[]
  adjudication?: VoteRecord
}

/** A mark on a part of a response: `start` and `end` count UTF-16 units of its text. */
export type Span = { response: number; start: number; end: number; mark: 'good' | 'bad'; note?: string }

/** What a person says of a task. Lists are in the stored order of the responses. */
export type VoteValue = {
  /** rank, and made from pair and best too: 1 is best, equal ranks tie, null is unranked. */
  ranks?: (number | null)[]
  /** pair: -strengths to strengths; negative: the first stored response is better. */
  preference?: number
  /** rate: by response, by the name of the scale. */
  ratings?: Record<string, number>[]
  /** good */
  good?: boolean
  /** The better answer that the person wrote, from which response (null: from nothing). It ranks before all others. */
  edit?: { text: string; from: number | null }
  spans?: Span[]
  bothBad?: boolean
  note?: string
}

export type NewVote = {
  requestId: string
  version: number
  value: VoteValue
  /** The order of the screen. */
  shown: number[]
  /** Seconds that the task was in view and the person active. */
  seconds: number
  /** The person changed something or accepted explicitly; an untouched submit is no vote and is refused. */
  touched: boolean
  /** As the decision of an adjudicator. */
  adjudicate?: boolean
}

export type VoteRecord = {
  id: number
  task: number
  annotator: string
  kind: 'vote' | 'skip' | 'undo' | 'adjudicate'
  value: VoteValue
  shown: number[]
  seconds: number
  reason?: string
  at: string
  /** The second pass over a repeated task. */
  repeat?: boolean
  /** It came after somebody had changed the same task (status 409): it is kept here, and does not count. */
  refused?: boolean
}

export type Voted = {
  vote: VoteRecord
  version: number
  progress: Progress
  gold?: { right: boolean; explanation?: string }
}

/** Status 409: nothing was lost; both are in the history. */
export type VoteConflict = { error: { message: string; code: 'conflict' }; theirs: VoteRecord; version: number }

export type TaskRow = {
  id: number
  position: number
  prompt: string
  votes: number
  state: 'open' | 'labelled' | 'skipped' | 'finished' | 'adjudicated'
  /** 0 (all agree) to 1; null with fewer than two votes. */
  disagreement: number | null
  annotators: string[]
  seconds: number | null
  at: string | null
}
/** What the task list is filtered by, beside `annotator`: a state, all but the finished, those of
 * which people disagree and nobody has decided, or those with a known answer (own). */
export const taskFilters = [
  'open',
  'labelled',
  'skipped',
  'finished',
  'adjudicated',
  'unfinished',
  'disputed',
  'gold',
] as const
export type TaskFilter = (typeof taskFilters)[number]
export const taskSorts = ['position', 'votes', 'state', 'disagreement', 'seconds', 'at'] as const
export type TaskSort = (typeof taskSorts)[number]
export type TaskPage = { total: number; rows: TaskRow[] }

/** Scores of one reward model: of each task one for each response, in the stored order. */
export type NewScores = { requestId: string; name: string; scores: { task: number; scores: (number | null)[] }[] }

// ---- agreement ---------------------------------------------------------------------------------------------------------

export type Interval = { value: number | null; low: number | null; high: number | null }

export type Agreement = {
  tasks: number
  votes: number
  kappa: Interval
  alphaNominal: Interval
  alphaOrdinal: Interval
  tauB: Interval
  /** One person with themselves, over repeated tasks. */
  withSelf: Interval & { pairs: number }
  annotators: {
    name: string
    votes: number
    skipped: number
    /** Median seconds of a vote. */
    seconds: number | null
    /** Share of pairs decided as most of the others did. */
    agreement: number | null
    /** Share of votes for what was shown first, of two; 0.5 without bias. */
    first: Interval
    /** Share of votes for the longer of two. */
    longer: Interval
    gold: { right: number; asked: number }
    withSelf: number | null
  }[]
  /** Agreement of a judge's predictions with people, by position and by length. */
  judges: { name: string; agreement: Interval; first: Interval; longer: Interval }[]
}

// ---- in and out --------------------------------------------------------------------------------------------------------

/** Rows of a file below the root, of an upload, or given directly. A Label Studio template (XML) sets up the project. */
export type ImportRequest = {
  requestId: string
  file?: string
  upload?: string
  rows?: { prompt: Text; responses: Response[] }[]
  column?: Record<string, string>
  /** The rows' own ranks are: known answers; a start for the annotator; nothing. */
  ranksAre?: 'gold' | 'prediction' | 'nothing'
}
export type ImportReport = {
  added: number
  already: number
  dropped: Record<string, number>
  /** Of a template: what of it has no effect here. */
  leftOut?: string[]
}

/** To a Label Studio server that the owner names. The token is used for this request and stored nowhere. */
export type RemoteRequest = { requestId: string; server: string; token: string; project: string }
export type PushReport = {
  /** Its number there, and its title. */
  project: number
  title: string
  made: boolean
  tasks: number
  annotations: number
  already: number
  dropped: Record<string, number>
}

export type ExportForm = 'rows' | 'preference' | 'kto' | 'votes' | 'trl' | 'llama-factory' | 'label-studio' | 'argilla'

export type AnnotatorInfo = {
  id: number
  name: string
  role: Role
  projects: number[]
  votes: number
  lastSeen: string | null
}

export type FileEntry = { path: string; kind: 'file' | 'folder'; bytes?: number }

/** What a file holds, by its first rows. */
export type FilePreview = {
  rows: { prompt: string; responses: string[] }[]
  /** The most responses of one row. */
  responses: number
  /** Whether the rows say which response is better. */
  ranks: boolean
}
