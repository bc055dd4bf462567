/** Brings rows into a project, or sets it up from a Label Studio template. */
import type { ImportReport, ImportRequest, Project } from '../../studio/labels/api.ts'
import { newRequestId, post } from '../api.ts'
import type { Chosen } from './FileChooser.tsx'
import { importWords } from './words.ts'

export type Brought = { report: ImportReport } | { template: { project: Project; leftOut: string[] } }

type Options = Pick<ImportRequest, 'ranksAre' | 'column'>

export const bringIn = async (project: number, chosen: Chosen, options: Options): Promise<Brought> => {
  const requestId = newRequestId()
  if ('xml' in chosen) return { template: await post(`/projects/${project}/template`, { requestId, xml: chosen.xml }) }
  const { name: _, ...source } = chosen
  return { report: await post(`/projects/${project}/import`, { requestId, ...source, ...options }) }
}

export const broughtWords = (brought: Brought): string => {
  if ('report' in brought) return importWords(brought.report)
  const { leftOut } = brought.template
  return leftOut.length === 0
    ? 'the template is in use'
    : `the template is in use; without effect: ${leftOut.join(', ')}`
}
