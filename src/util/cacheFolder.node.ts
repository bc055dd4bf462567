/** Where things lie that may be deleted, and are then computed or asked for again. */
import { homedir } from 'node:os'
import { join } from 'node:path'

/** ATTUNE_CACHE, or the system's place for caches. */
export const cacheFolder = () =>
  process.env.ATTUNE_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'attune')
