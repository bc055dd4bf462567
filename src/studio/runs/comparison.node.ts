/** Several runs side by side: settings that differ, and what all of them can be compared by. */
import { changeText } from '../../recipes/trainer/headline.ts'
import { flagOf, settingText } from '../../recipes/trainer/settingsText.ts'
import { compareRuns } from '../../runs/compare.ts'
import type { RunComparison } from './api.ts'
import { axesOf } from './curves.ts'
import { metricsOf, resultStepOf } from './page.node.ts'
import { allCurves } from './row.ts'
import type { OpenRun } from './store.node.ts'

export const comparisonOf = async (runs: readonly OpenRun[]): Promise<RunComparison> => {
  const { settings, metrics, apart, note } = compareRuns(
    await Promise.all(
      runs.map(async ({ name, info, log, row }) => ({
        ...{ name, info, steps: row.steps, curves: allCurves(log), through: await resultStepOf({ log, info }) },
      })),
    ),
  )
  const known = runs.flatMap(({ log }) => metricsOf(log))
  const labels = new Map(known.map(({ name, label }) => [name, label]))
  const labelled = (name: string) =>
    name.startsWith('eval_') ? `held-out ${labels.get(name.slice(5)) ?? name.slice(5)}` : (labels.get(name) ?? name)
  return {
    runs: runs.map(({ row }) => row),
    // Losses that cannot be compared are not drawn over each other
    metrics: [...new Map(known.map((metric) => [metric.name, metric])).values()].filter(
      ({ name }) => !apart || name !== 'loss',
    ),
    axes: [...new Set(runs.flatMap(({ log, info }) => axesOf(log, info)))],
    settings: Object.entries(settings).map(([key, values]) => ({
      ...{ key, name: key === 'method' ? key : flagOf(key) },
      values: values.map((value) => settingText(value) || null),
    })),
    figures: Object.entries(metrics).map(([name, values]) => ({
      ...{ name, label: labelled(name) },
      values: values.map((value) => value ?? null),
    })),
    ...(apart && {
      apart: {
        why: apart.why,
        changes: apart.changes.map((change) => (change ? changeText(change) : 'nothing yet')),
      },
    }),
    ...(note !== undefined && { note }),
  }
}
