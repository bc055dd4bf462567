/**
 * Names that TRL, PEFT, transformers and LLaMA-Factory give to settings, and what they are here: the hints of the command
 * line and of settings files, and the tables of docs/names.md, come from the same answers.
 */
import { kebab } from '../util/kebab.ts'
import { namesOfLlamaFactory } from './namesOfLlamaFactory.ts'
import { namesOfTrl } from './namesOfTrl.ts'

/**
 * By name in kebab-case, where `*` stands for any end: `--flag`, or several, of which the first that a command has is meant,
 * perhaps with `; note`; or a sentence that begins with `not needed:` or `not there:`.
 */
export const answers: Readonly<Record<string, string>> = { ...namesOfLlamaFactory, ...namesOfTrl }

const families = Object.keys(answers).filter((name) => name.endsWith('*'))

/** The entry of `answers` for a name: --gradient_accumulation_steps=4 and gradientAccumulationSteps too. */
export const entryFor = (name: string): string | undefined => {
  const asked = plainName(name)
  if (Object.hasOwn(answers, asked)) return asked
  return families.find((family) => asked.startsWith(family.slice(0, -1)))
}

const plainName = (name: string): string =>
  kebab(name.replace(/^-+/, '').replace(/=.*/s, '')).replaceAll('_', '-').toLowerCase()

export type OtherName = {
  /** The flag of the command that means the same. */
  flag?: string
  /** Where there is no flag, why; beside a flag, how its value differs. */
  note?: string
}

/** What a name of another program is, among the flags of a command; undefined where nothing is known of it. */
export const otherName = (name: string, flags: readonly string[]): OtherName | undefined => {
  const entry = entryFor(name)
  const answer = entry === undefined ? `--${plainName(name)}` : answers[entry]
  if (!answer.startsWith('--')) return { note: answer }
  const [known, note] = answer.split(/; (.*)/s)
  const same = `--${plainName(name)}`
  const flag = [same, ...known.split(' ')].find((each) => flags.includes(each))
  if (flag === undefined)
    return entry === undefined ? undefined : { note: 'not there: this command has no such setting' }
  return { flag, ...(note !== undefined && known.includes(flag) && { note }) }
}
