/** What the numbers of a comparison are about and how they were tested, in sentences. */
import { listed, plural } from '../../util/format.ts'
import type { CompareFindings, PairFindings } from './findings.ts'
import { significance } from './verdicts.ts'

/** How many tests there are of each question, and what is corrected. */
const testsText = ({ between, against, sft }: CompareFindings): string => {
  const count = (pairs: readonly PairFindings[]) => pairs.filter(({ p }) => Number.isFinite(p)).length
  const groups = [
    { tests: count(between), what: between.length ? 'between the models' : '' },
    { tests: count(against), what: `against ${sft}` },
  ].filter(({ tests }) => tests > 0)
  if (!groups.length) return 'There is no test.'
  const named = groups.map(({ tests, what }) => `${plural(tests, 'test')} ${what}`)
  const [only] = groups
  if (groups.length === 1 && only.tests === 1)
    return 'If there is no difference, the test still finds one in at most 5 of 100 comparisons.'
  const together = groups.length > 1 ? 'each of the two sets of tests' : 'the set of tests'
  return `There are ${listed(named)}; if there is no difference, ${together} still finds one in at most 5 of 100 comparisons (corrected by Holm's method).`
}

/** Where an interval excludes one half and the test, corrected for all others, still finds no difference. */
const narrowText = ({ between, against }: CompareFindings): string => {
  const isNarrow = ({ corrected, winRate: { low, high } }: PairFindings) =>
    corrected >= significance && (low > 0.5 || high < 0.5)
  return [...between, ...against].some(isNarrow)
    ? ' So where so many tests are made, an interval without 50 % is not always enough to tell two models apart.'
    : ''
}

/** What the numbers of a comparison are about, and what they do not show. */
export const limitsOf = (findings: CompareFindings): string[] => {
  const { prompts, clusters, samples, policies, judges, sft } = findings
  const runs = Math.max(...policies.map((policy) => policy.runs))
  const [, only, ...others] = policies
  const trained = others.length ? 'Each model' : only.name
  const constant = judges.filter(({ scale }) => !scale).map(({ name }) => name)
  return [
    `All of it is about what these judges prefer on ${plural(prompts, 'held-out prompt')}${clusters ? ` in ${plural(clusters.count, 'cluster')}` : ''} with ${plural(samples, 'answer')} each.`,
    ...(clusters
      ? [
          `Prompts with the same ${clusters.column} may be alike, so they are one cluster: intervals and tests rest on the ${plural(clusters.count, 'cluster')}, not on the ${plural(prompts, 'prompt')}.`,
        ]
      : []),
    `An interval in brackets holds the true value in 95 of 100 cases. ${testsText(findings)}${narrowText(findings)}`,
    runs === 1
      ? `${trained} is one training run: another seed could turn what is concluded, and nothing here says how easily.`
      : `${trained} is ${plural(runs, 'training run')}.`,
    ...judges
      .filter(({ failed }) => failed)
      .map(
        ({ name, failed, prompts: judged }) =>
          `${judged < prompts ? `${name} gave rewards to all models on ${judged} of ${plural(prompts, 'prompt')}; ` : ''}${plural(failed, 'reward')} of ${name} ${failed === 1 ? 'is' : 'are'} no number, left out and not counted as 0 (by null a function abstains).`,
      ),
    ...(constant.length
      ? [
          `${listed(constant)} gave all answers of ${sft} the same reward, so differences of rewards have no scale and are left out; win rates are not affected.`,
        ]
      : []),
  ]
}
