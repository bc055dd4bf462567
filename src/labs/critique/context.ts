/** What both phases of `attune critique` need. */
import type { Constitution } from '../../feedback/constitution/constitution.ts'
import type { Calls } from './calls.ts'
import type { AskedModels } from './models.ts'
import type { Conversations } from './prompts.ts'
import type { CritiqueSettings } from './settings.ts'

export type Phase = 'revisions' | 'preferences'

export type PhaseContext = {
  root: string
  settings: CritiqueSettings
  constitution: Constitution
  models: AskedModels
  conversations: Conversations
  calls: Calls
  command: readonly string[]
}
