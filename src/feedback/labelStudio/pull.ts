/** The votes of a project of a Label Studio server, page by page, as its own export would give them. */
import { Fault } from '../../util/fault.ts'
import { type ImportedVotes, voteGatherer } from '../votes/importVotes.ts'
import { ownForm } from './ownForm.ts'
import { parseTemplate } from './parseTemplate.ts'
import { findProject, noProject, tasksOfProject } from './project.ts'
import type { Server } from './server.ts'
import type { Template } from './template.ts'

export type Pulled = { project: number; title: string; label_config: string; votes: ImportedVotes }

/** @throws Fault of the server, 'bad-flag' for a project that is not there, and for a malformed task */
export const pullVotes = async (server: Server, wanted: string, onTask?: (tasks: number) => void): Promise<Pulled> => {
  const project = await findProject(server, wanted)
  if (!project) throw noProject(server, wanted)
  const template = readable(project.label_config)
  const gatherer = voteGatherer('label-studio')
  const reader = gatherer.file(`${server.url}/projects/${project.id}`, 'rows')
  let row = 0
  for await (const task of tasksOfProject(server, project.id, true)) {
    reader.add({
      value: template ? ownForm(task, template) : { ...task, annotations: task.annotations ?? [] },
      row: row++,
    })
    onTask?.(row)
  }
  reader.end()
  return { project: project.id, title: project.title, label_config: project.label_config, votes: gatherer.end() }
}

/** A template with other tags may still have rankings, under the names that an export has. */
const readable = (xml: string): Template | undefined => {
  try {
    return parseTemplate(xml)
  } catch (error) {
    if (error instanceof Fault) return undefined
    throw error
  }
}
