/**
 * The prompts of a judge: template files, and how a case is put into one.
 *
 * A template is a Markdown file with a line `# system` before the system message (optional) and a line `# user` before the
 * user's. Placeholders: {question}, {answer_a}, {answer_b}, {answer}, {reference}, and {format}, which says how to write the
 * verdict. attune's own lie in the package's folder prompts/judge.
 */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Message } from '../../data/messages.ts'
import { badInput } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'
import { reasoningTags } from './reasoning.ts'

/** The templates by what they ask for; `reference` modes have one for two answers and one for a single answer. */
export const promptNames = ['pairwise', 'single', 'reference-pairwise', 'reference-single', 'options'] as const
export type PromptName = (typeof promptNames)[number]

export type JudgeTemplate = {
  system?: string
  user: string
  /** Names of tags that mark its sections, such as `answer_a`. */
  tags: readonly string[]
}

const folder = new URL('../../../prompts/judge/', import.meta.url)

/** The text of attune's own template. */
export const builtInPrompt = (name: PromptName): Promise<string> =>
  readFile(fileURLToPath(new URL(`${name}.md`, folder)), 'utf8')

const placeholders = ['question', 'answer_a', 'answer_b', 'answer', 'reference', 'format']

/** Placeholders that a template must have. */
const needed: Record<PromptName, readonly string[]> = {
  pairwise: ['question', 'answer_a', 'answer_b'],
  single: ['question', 'answer'],
  'reference-pairwise': ['question', 'answer_a', 'answer_b', 'reference'],
  'reference-single': ['question', 'answer', 'reference'],
  options: ['question', 'answer_a', 'answer_b'],
}

/** @param file of the user; by default attune's own. Throws Faults 'no-file' and 'bad-prompt', which name the file. */
export const loadTemplate = async (name: PromptName, file?: string): Promise<JudgeTemplate> => {
  if (file === undefined) return parseTemplate(await builtInPrompt(name), name)
  const text = await readFile(file, 'utf8').catch(() => {
    throw badInput('no-file', 'cannot be read; --print-prompt prints one to begin with', { file })
  })
  return parseTemplate(text, name, file)
}

export const parseTemplate = (text: string, name: PromptName, file?: string): JudgeTemplate => {
  const bad = (why: string) => badInput('bad-prompt', why, file === undefined ? { flag: '--prompt-file' } : { file })
  const [before, ...parts] = text.replaceAll('\r\n', '\n').split(/^# (system|user)[ \t]*$/m)
  if (before.trim() || !parts.length) throw bad('must begin with a line "# system" or "# user"')
  const sections = new Map<string, string>()
  for (let i = 0; i < parts.length; i += 2) {
    if (sections.has(parts[i])) throw bad(`has two sections "# ${parts[i]}"`)
    sections.set(parts[i], parts[i + 1].trim())
  }
  const user = sections.get('user')
  if (!user) throw bad('has no section "# user"')
  const system = sections.get('system') || undefined
  const whole = `${system ?? ''}\n${user}`
  const missing = needed[name].find((each) => !whole.includes(`{${each}}`))
  if (missing) throw bad(`lacks the placeholder {${missing}}, which a prompt for ${name} needs`)
  const unknown = [...whole.matchAll(/\{([a-z_]+)\}/g)].find(([, each]) => !placeholders.includes(each))
  if (unknown) throw bad(`has an unknown placeholder ${quoted(unknown[0])}; known are ${placeholders.join(', ')}`)
  return { system, user, tags: tagsOf(whole) }
}

/** Names of the tags that mark sections of a template. */
export const tagsOf = (template: string): string[] => [
  ...new Set([...template.matchAll(/<\/?([a-z][\w-]*)>/gi)].map(([, tag]) => tag)),
]

/** What a template is filled with. `answers` stand in the order in which the judge sees them. */
export type JudgeMaterial = { question: string; answers: readonly string[]; reference?: string }

/**
 * The conversation that a judge is asked. Material cannot change its form: tags of the template, control tokens such as
 * `<|im_end|>` and verdicts such as `[[A]]` in it get a space inside, and placeholders in it stay as they are.
 * @param renamed the first answer is called B and the second A, where the tags of the template name them
 */
export const renderPrompt = (
  { system, user, tags }: JudgeTemplate,
  { question, answers, reference }: JudgeMaterial,
  { format, renamed = false }: { format: string; renamed?: boolean },
): Message[] => {
  const inert = (text: string) => neutralized(text, tags)
  const [first, second = ''] = answers.map(inert)
  const values: Record<string, string> = {
    question: inert(question),
    ...(answers.length > 1 ? { answer_a: first, answer_b: second } : { answer: first }),
    reference: inert(reference ?? ''),
    format,
  }
  const fill = (text: string) =>
    text.replace(/\{([a-z_]+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? values[name] : whole))
  const named = (text: string) => (renamed ? withNamesSwapped(text) : text)
  return [
    ...(system === undefined ? [] : [{ role: 'system', content: fill(named(system)) }]),
    { role: 'user', content: fill(named(user)) },
  ]
}

/** Swaps what the sections are called, not what stands in them: tags, and `Answer A:` or `(A)` on a line before its section. */
const withNamesSwapped = (template: string): string => {
  const other = (letter: string) => ({ a: 'b', b: 'a', A: 'B', B: 'A' })[letter]
  return template
    .replace(/<(\/?)answer_([ab])>/g, (_, slash, letter) => `<${slash}answer_${other(letter)}>`)
    .replace(/^(\W*|[\w ]+ )([AB])(\)?:?)$/gm, (_, before, letter, after) => before + other(letter) + after)
}

/** Text that cannot be taken for a part of a prompt's form: its tags, control tokens and verdicts get a space inside. */
export const neutralized = (text: string, tags: readonly string[]): string => {
  // A judge that quotes an answer must not seem to end its reasoning there
  const named = [...tags, ...reasoningTags]
  const open = text
    .replace(/\[\[(\s*(?:[ABC]|[0-9.]+)\s*)\]\]/g, '[ [$1] ]')
    .replace(/<\|([^|<>\n]{1,40})\|>/g, '< |$1| >')
  return open.replace(new RegExp(`<(\\s*/?\\s*(?:${named.join('|')})\\b)`, 'gi'), '< $1')
}
