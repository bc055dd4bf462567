/**
 * Rows to judge, out of the files that people have: attune's preference, ranking, completion and conversation rows, AlpacaEval's
 * outputs and annotations, MT-bench's questions and answers (mtBench.ts), and completions of two models in two files.
 *
 * A row that cannot be judged (no second answer, an empty one, two different prompts) stays, with its trouble, so that it is
 * counted and named. Rows are read in a stream; only the second file of two is held by its prompts.
 */
import type { RawRecord } from '../../data/check.ts'
import { type ReaderOptions, type RowReader, rowReader } from '../../data/formats.ts'
import { dataFiles, openRecords, type ResolveDataset } from '../../data/input.node.ts'
import { type Message, responseOf, shownTurn } from '../../data/messages.ts'
import { isIds, type Row, type Text } from '../../data/rows.ts'
import { badInput, Fault, type Where } from '../../util/fault.ts'
import type { JudgeCase } from './judge.ts'
import { isMtBenchAnswer, mtBenchCases } from './mtBench.ts'

export type CaseSettings = {
  data: readonly string[]
  /** Answers of the other model to the same prompts. */
  against?: readonly string[]
  /** MT-bench's questions, and reference answers. */
  questions?: string
  references?: string
  column?: Record<string, string>
  maxSamples?: number
  /** A ranking of several gives one case with all of its answers, to be graded, and not its pairs. */
  whole?: boolean
  resolve?: ResolveDataset
}

/** A row to judge, with what is told of it beside the verdict. */
export type AboutCase = {
  generator_1?: string
  generator_2?: string
  /** Characters of the answers. */
  len_1?: number
  len_2?: number
  category?: string
  turn?: number
  /** Which answer the row says is better, where it does: the vote of a person, or of who made the row. */
  human?: 'A' | 'B' | 'tie'
}

/** Streams the cases of the files, from the first. Throws Faults of the readers, with file and row. */
export async function* readCases(settings: CaseSettings): AsyncGenerator<JudgeCase> {
  const { maxSamples = Number.POSITIVE_INFINITY } = settings
  let taken = 0
  for await (const each of casesOf(settings)) {
    if (taken++ >= maxSamples) return
    yield withLengths(each)
  }
}

const withLengths = (each: JudgeCase): JudgeCase => {
  const [len_1, len_2] = each.answers.map((answer) => [...answer].length)
  return {
    ...each,
    about: { ...each.about, ...(len_1 !== undefined && { len_1 }), ...(len_2 !== undefined && { len_2 }) },
  }
}

async function* casesOf(settings: CaseSettings): AsyncGenerator<JudgeCase> {
  const files = await dataFiles([...settings.data], settings.resolve)
  const others = settings.against && (await dataFiles([...settings.against], settings.resolve))
  if (await isMtBenchAnswer(files[0])) return yield* mtBenchCases(files, others, settings)
  const unused = (['questions', 'references'] as const).find((key) => settings[key] !== undefined)
  if (unused)
    throw badInput('bad-flag', `goes with MT-bench's answers in --data, and ${files[0]} holds other rows`, {
      flag: `--${unused}`,
    })
  if (others) return yield* pairedCases(files, others, settings)
  for await (const read of readAll(files, settings)) yield* 'row' in read ? casesIn(read, settings) : [read]
}

// Reading

type Read = { row: Row; record: Record<string, unknown>; where: Where; number: number }

/** A missing second answer is trouble of its row; everything else that is wrong with a record is a Fault. */
const answerColumns: Record<string, string> = {
  rejected: 'no-second-answer',
  chosen: 'no-answer',
  completion: 'no-answer',
}

const troubleOf = (error: unknown): JudgeCase['trouble'] => {
  if (!(error instanceof Fault) || !['missing-column', 'null-value'].includes(error.code)) return undefined
  const code = answerColumns[error.where.column ?? '']
  return code === undefined ? undefined : { code, message: error.message }
}

/** The rows of all files with their records, or what is wrong with a row. Records are numbered over all files. */
async function* readAll(files: readonly string[], { column }: CaseSettings): AsyncGenerator<Read | JudgeCase> {
  const options: ReaderOptions = { columns: column }
  let number = 0
  for (const file of files) {
    const { layout, batches } = await openRecords(file, options)
    const reader = rowReader(file, layout, options)
    let last: RawRecord | undefined
    for await (const batch of batches)
      for (const raw of batch) {
        last = raw
        yield* rowsOf(reader, raw, file, number++)
      }
    if (last) for (const row of reader.end().rows) yield { row, record: {}, where: { file }, number: number++ }
  }
}

function* rowsOf(reader: RowReader, raw: RawRecord, file: string, number: number): Generator<Read | JudgeCase> {
  const record = raw.value as Record<string, unknown>
  const where = { file, row: raw.row, line: raw.line }
  const none = { id: idOf(record?.id, number), question: '', answers: [] }
  try {
    const { rows, skipped } = reader.read(raw)
    for (const row of rows) yield { row, record, where, number }
    for (const { reason } of skipped)
      yield { ...none, trouble: { code: reason, message: 'the record holds no row to judge' } }
  } catch (error) {
    const trouble = troubleOf(error)
    if (!trouble) throw error
    yield { ...none, trouble }
  }
}

const idOf = (id: unknown, number: number): string | number =>
  typeof id === 'string' || typeof id === 'number' ? id : number

// Rows to cases

/** A ranking of more than two gives each of its pairs, with ids such as 7:1-3. */
function* casesIn(read: Read, { whole }: CaseSettings): Generator<JudgeCase> {
  const { row, record, where, number } = read
  const id = idOf(row.id, number)
  const base = { reference: referenceOf(record), about: aboutOf(record), template: row.template }
  if (row.kind === 'ranking') {
    const question = row.turns ? conversationText(row.turns) : questionText(row.prompt, where)
    const prompt = row.turns ?? (isIds(row.prompt) ? undefined : row.prompt)
    const answers = row.responses.map((response) => answerText(response, where))
    const trouble = row.flags && { code: row.flags[0], message: `the row is marked ${row.flags.join(', ')}` }
    const voted = (i: number, j: number) => ({
      ...base,
      about: { ...base.about, ...voteOf(row.ranks[i], row.ranks[j]) },
    })
    if (answers.length < 3 || whole)
      return yield checked({
        ...{ id, question, prompt, answers, responses: row.responses },
        ...{ ...voted(0, 1), ...(trouble && { trouble }) },
      })
    for (let i = 0; i < answers.length; i++)
      for (let j = i + 1; j < answers.length; j++)
        yield checked({
          id: `${id}:${i + 1}-${j + 1}`,
          question,
          prompt,
          answers: [answers[i], answers[j]],
          responses: [row.responses[i], row.responses[j]],
          ...voted(i, j),
        })
    return
  }
  const { question, answer } = singleOf(row, where)
  yield checked({ id, question, answers: [answer], ...base })
}

/** Rank 1 is the best; a response without a rank was not compared. */
const voteOf = (first?: number | null, second?: number | null): Pick<AboutCase, 'human'> => {
  if (typeof first !== 'number' || typeof second !== 'number') return {}
  return { human: first === second ? 'tie' : first < second ? 'A' : 'B' }
}

/** An empty answer is nothing to judge. */
const checked = (each: JudgeCase): JudgeCase => {
  const empty = each.answers.findIndex((answer) => !answer.trim())
  if (each.trouble || empty < 0) return each
  const code = empty ? 'no-second-answer' : 'no-answer'
  return { ...each, trouble: { code, message: `answer ${empty + 1} of the row is empty` } }
}

type Single = { question: string; prompt?: JudgeCase['prompt']; answer: string; response: Text }

const singleOf = (row: Row, where: Where): Single => {
  switch (row.kind) {
    case 'completion':
    case 'unpaired':
      return { ...promptOf(row.prompt, where), ...answerOf(row.completion, where) }
    case 'rated':
      return { ...promptOf(row.prompt, where), ...answerOf(row.response, where) }
    case 'messages': {
      const last = row.messages.at(-1)!
      if (last.role !== 'assistant' || row.messages.length < 2)
        throw badInput('bad-value', 'does not end with an answer of the assistant, so there is nothing to judge', where)
      return { ...promptOf(row.messages.slice(0, -1), where), ...answerOf(responseOf([last]), where) }
    }
    default:
      throw badInput(
        'wrong-kind',
        `rows of the kind "${row.kind}" hold no answer to judge; give preference, ranking or completion rows`,
        where,
      )
  }
}

const needsText = (where: Where): Fault => badInput('wrong-kind', 'holds token ids, and a judge reads text', where)

const promptOf = (prompt: Text, where: Where): Pick<Single, 'question' | 'prompt'> => ({
  question: questionText(prompt, where),
  ...(!isIds(prompt) && { prompt }),
})

const questionText = (prompt: Text, where: Where): string => {
  if (typeof prompt === 'string') return prompt
  if (isIds(prompt)) throw needsText(where)
  return conversationText(prompt)
}

const answerOf = (response: Text, where: Where): Pick<Single, 'answer' | 'response'> => ({
  answer: answerText(response, where),
  response,
})

const answerText = (answer: Text, where: Where): string => {
  if (typeof answer === 'string') return answer
  if (isIds(answer)) throw needsText(where)
  return answer.length === 1 ? shownTurn(answer[0]) : conversationText(answer)
}

const speakers: Record<string, string> = { user: 'User', assistant: 'Assistant', system: 'System' }

/** One message of a user as it is; several turns with their speakers. */
export const conversationText = (messages: readonly Message[]): string =>
  messages.length === 1 && messages[0].role === 'user'
    ? shownTurn(messages[0])
    : messages.map((message) => `${speakers[message.role] ?? message.role}: ${shownTurn(message)}`).join('\n\n')

const textIn = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** A text or a list of texts. */
const referenceOf = (record: Record<string, unknown>): string | undefined => {
  const found = record.reference ?? record.references ?? record.reference_answer
  return Array.isArray(found) ? found.filter((each) => typeof each === 'string').join('\n\n') : textIn(found)
}

const aboutOf = (record: Record<string, unknown>): AboutCase => {
  const first = textIn(record.generator_1) ?? textIn(record.model_1) ?? textIn(record.generator)
  const second = textIn(record.generator_2) ?? textIn(record.model_2)
  const category = textIn(record.category)
  return {
    ...(first !== undefined && { generator_1: first }),
    ...(second !== undefined && { generator_2: second }),
    ...(category !== undefined && { category }),
  }
}

// Answers of two models

/** Rows of both files belong together by id where both have one, else by prompt; equal prompts in their order. */
async function* pairedCases(
  files: readonly string[],
  others: readonly string[],
  settings: CaseSettings,
): AsyncGenerator<JudgeCase> {
  const names = [files, others].map((all) => all.join(', '))
  const byKey = new Map<string, { answer: string; response: Text; generator?: string }[]>()
  for await (const read of readAll(others, settings)) {
    if (!('row' in read)) continue
    const { question, ...answered } = singleOf(read.row, read.where)
    const key = keyOf(read.row, question)
    byKey.set(key, [...(byKey.get(key) ?? []), { ...answered, generator: aboutOf(read.record).generator_1 }])
  }
  for await (const read of readAll(files, settings)) {
    if (!('row' in read)) {
      yield read
      continue
    }
    const { row, record, where, number } = read
    const { question, prompt, answer, response } = singleOf(row, where)
    const other = byKey.get(keyOf(row, question))?.shift()
    const about = aboutOf(record)
    yield checked({
      id: idOf(row.id, number),
      question,
      prompt,
      answers: other ? [answer, other.answer] : [answer],
      responses: other ? [response, other.response] : [response],
      template: row.template,
      reference: referenceOf(record),
      about: {
        ...about,
        generator_1: about.generator_1 ?? names[0],
        ...(other && { generator_2: other.generator ?? names[1] }),
      },
      ...(!other && { trouble: { code: 'no-second-answer', message: `${names[1]} has no answer to this prompt` } }),
    })
  }
}

const keyOf = ({ id }: Row, question: string): string => JSON.stringify(id ?? [question])
