/** What all parts of the studio's page share with its server. Each part has an api.ts of its own beside this one. */
import type { Role } from './session.ts'

/** GET /api/session */
export type Session = {
  person: { id: number; name: string; role: Role }
  version: string
  /** The folder that the studio works in. */
  root: string
  /** Whether it shows workers: it was started with --workers. */
  workers: boolean
}

/** GET /api/live?topic=...&topic=..., as server-sent events. A topic that ends in / takes all below it. */
export type LiveEvent = { topic: string; data?: unknown }

/** The body of every response with a status from 400 on. */
export type ApiError = { error: { message: string; code?: string | null } }
