/** Writes the files of a phase: the rows to learn from, all that was written with what was dropped, the page, and the counts. */
import { join } from 'node:path'
import type { Spent } from '../../endpoint/client.ts'
import type { ComparedRow, Pair, PairCounts } from '../../feedback/constitution/preference.ts'
import type { CritiqueCounts, CritiqueRow, Transcript } from '../../feedback/constitution/transcript.ts'
import { writeJson, writeRows, writeText } from '../../report/files.node.ts'
import { contentKey } from '../../store/content.node.ts'
import { critiqueWords, preferenceWords, recordWords } from './conclusions.ts'
import type { PhaseContext } from './context.ts'
import { critiquePage, type PageFacts, preferencePage } from './report.ts'

export type PhaseFiles = {
  /** To learn from: for `attune sft`, or for `attune dpo` and `attune reward`. */
  rows: string
  /** Of each prompt or pair all that was written, and why it was dropped. */
  transcripts: string
  /** The counts and settings as JSON. */
  counts: string
  report: string
}

export type WrittenPhase = {
  words: string[]
  counts: CritiqueCounts | PairCounts
  /** What servers were asked; undefined for local models. */
  spent?: Spent
  files: PhaseFiles
}

export const writeRevisions = async (
  context: PhaseContext,
  {
    transcripts,
    rows,
    counts,
  }: { transcripts: readonly Transcript[]; rows: readonly CritiqueRow[]; counts: CritiqueCounts },
): Promise<WrittenPhase> => {
  const names = { rows: 'sft.jsonl', transcripts: 'transcripts.jsonl', counts: 'critique.json', report: 'report.html' }
  const words = [...critiqueWords(counts), ...recordWords(context.conversations.dropped)]
  const html = critiquePage({ words, counts, transcripts, facts: factsOf(context) })
  return writePhase(context, { names, words, rows, transcripts, counts, html })
}

export const writePreferences = async (
  context: PhaseContext,
  { pairs, rows, counts }: { pairs: readonly Pair[]; rows: readonly ComparedRow[]; counts: PairCounts },
): Promise<WrittenPhase> => {
  const names = {
    rows: 'preferences.jsonl',
    transcripts: 'pairs.jsonl',
    counts: 'preferences.json',
    report: 'preferences.html',
  }
  const words = [...preferenceWords(counts), ...recordWords(context.conversations.dropped)]
  const html = preferencePage({
    words,
    counts,
    pairs,
    principles: context.constitution.principles,
    facts: factsOf(context),
  })
  return writePhase(context, { names, words, rows, transcripts: pairs, counts, html })
}

type Phase = {
  names: PhaseFiles
  words: string[]
  rows: readonly object[]
  transcripts: readonly object[]
  counts: CritiqueCounts | PairCounts
  html: string
}

const writePhase = async (
  { root, settings, constitution, models, conversations }: PhaseContext,
  { names, words, rows, transcripts, counts, html }: Phase,
): Promise<WrittenPhase> => {
  const entries = Object.entries(names).map(([key, name]) => [key, join(root, name)])
  const files = Object.fromEntries(entries) as PhaseFiles
  const spent = models.spent()
  await writeRows(files.rows, rows)
  await writeRows(files.transcripts, transcripts)
  await writeText(files.report, html)
  const { onRetry: _, ...plain } = settings
  await writeJson(files.counts, {
    words,
    ...counts,
    records_dropped: conversations.dropped,
    model: { name: models.model.name, form: models.model.form, identity: models.model.identity },
    judge: { name: models.judge.name, form: models.judge.form, identity: models.judge.identity },
    constitution: { name: constitution.name, key: contentKey(constitution) },
    settings: plain,
    spent,
  })
  return { words, counts, ...(spent && { spent }), files }
}

const factsOf = ({ settings, constitution, models, command }: PhaseContext): PageFacts => {
  const form = { chat: 'by messages', text: 'by plain text' }
  return {
    command,
    entries: [
      ['model', `${models.model.name}, asked ${form[models.model.form]}`],
      ['judge', `${models.judge.name}, asked ${form[models.judge.form]}`],
      ['constitution', `${constitution.name}, ${constitution.principles.length} principles`],
      ['prompts', settings.data.join(', ')],
      settings.preferences
        ? ['pairs of each prompt', String(settings.pairs)]
        : ['rounds of critique and revision', String(settings.rounds)],
      ['most tokens of a text', String(settings.maxNewTokens)],
      ['temperature', String(settings.temperature)],
      ['seed', String(settings.seed)],
    ],
  }
}
