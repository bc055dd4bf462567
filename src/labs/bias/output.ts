/** Writes the files of a judge's bias: the page, its charts as SVG, and findings.json with every figure, its interval and n. */
import { join } from 'node:path'
import { flattened } from '../../feedback/bias/figure.ts'
import type { BiasFigures, FailureFigures } from '../../feedback/bias/figures.ts'
import { writeDrawings, writeJson, writeText } from '../../report/files.node.ts'
import { type Belief, beliefOf } from './belief.ts'
import { type BiasReport, biasCharts, biasPage } from './report.ts'

export type BiasFiles = { report: string; findings: string; plots: string }

type Written = { words: string[]; files: BiasFiles; json: Record<string, unknown> }

export const writeBias = async (
  root: string,
  { figures, examples, notes, settings, command }: Omit<BiasReport, 'belief'>,
): Promise<Written> => {
  const belief = beliefOf(figures)
  const files = { report: join(root, 'report.html'), findings: join(root, 'findings.json'), plots: join(root, 'plots') }
  await writeDrawings(files.plots, biasCharts(figures))
  await writeText(files.report, biasPage({ figures, belief, examples, notes, settings, command }))
  const json = jsonOf(figures, belief)
  await writeJson(files.findings, json)
  return { words: [belief.headline, ...belief.points.map(({ said }) => said), ...belief.advice], files, json }
}

const failuresJson = ({ wrong, undecided, failure, error }: FailureFigures) =>
  flattened({ failure, wrong, undecided, error })

/** Shares in [0, 1]; of each figure its value, `_low`, `_high` and `_n`. What was not measured is left out. */
export const jsonOf = (figures: BiasFigures, belief: Belief): Record<string, unknown> => {
  const { judge, pairs, position, consistent, names, length, padding, math, self, agreement, marks } = figures
  return {
    judge,
    pairs,
    answer: belief.answer,
    headline: belief.headline,
    grades: Object.fromEntries(belief.points.map(({ name, grade }) => [name, grade])),
    ...(position && { position: flattened(position) }),
    ...(consistent && { position: flattened({ consistent }) }),
    ...(names && {
      renamed: { ...flattened(names.renamed), ...flattened({ name_tilt: names.name, place_tilt: names.place }) },
    }),
    ...((length || padding) && {
      verbosity: {
        ...(length &&
          flattened({ longer: length.longer, tilt: length.tilt, people: length.people, excess: length.excess })),
        ...(length && {
          by_difference: length.by_difference.map(({ from, to, longer }) => ({ from, to, ...flattened({ longer }) })),
        }),
        ...(padding && {
          padded: {
            ...flattened({ preferred: padding.wrong, tie: padding.undecided, error: padding.error }),
            rephrased_by: padding.by,
            made_lists: padding.made,
            left_out: padding.left,
          },
        }),
      },
    }),
    ...(self && {
      self_enhancement: {
        model: self.model,
        ...flattened({ by_itself: self.by_itself, by_others: self.by_others, difference: self.difference }),
      },
    }),
    ...(math && {
      math: {
        questions: math.ownQuestions ? 'rows' : 'built-in',
        ...Object.fromEntries(Object.entries(math.modes).map(([mode, each]) => [mode, failuresJson(each)])),
      },
    }),
    ...(agreement && { agreement: flattened(agreement) }),
    ...(marks && { mark_order: flattened(marks) }),
  }
}
