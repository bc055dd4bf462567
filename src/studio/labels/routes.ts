/** The labelling part of the studio: its routes, and who its annotators are. */
import { Hono } from 'hono'
import type { Db } from '../../store/database.node.ts'
import type { Live } from '../live.ts'
import type { FindPerson, StudioEnv } from '../session.ts'
import { openUploads } from './files.node.ts'
import { importRoutes } from './importRoutes.ts'
import { labelStudioRoutes } from './labelStudioRoutes.ts'
import { type Labels, openLabels } from './labels.ts'
import { findAnnotator } from './people.ts'
import { projectRoutes } from './projectRoutes.ts'
import { reportRoutes } from './reportRoutes.ts'
import { taskRoutes } from './taskRoutes.ts'

export type LabelOptions = {
  db: Db
  live: Live
  /** The folder whose files may be imported. */
  root: string
  /** Where others reach the studio. */
  address(): string
}

export type LabelPart = { labels: Labels; routes: Hono<StudioEnv>; findPerson: FindPerson; close(): Promise<void> }

export const labelRoutes = ({ db, live, root, address }: LabelOptions): LabelPart => {
  const labels = openLabels(db, live)
  const uploads = openUploads()
  const routes = new Hono<StudioEnv>()
  routes.use(async (context, next) => {
    const { id } = context.get('person')
    if (id) labels.seen.set(id, new Date().toISOString())
    await next()
  })
  routes.route('/', projectRoutes(labels, address))
  routes.route('/', taskRoutes(labels))
  routes.route('/', reportRoutes(labels))
  routes.route('/', importRoutes(labels, root, uploads))
  routes.route('/', labelStudioRoutes(labels))
  return { labels, routes, findPerson: (token) => findAnnotator(db, token), close: uploads.close }
}
