/** The cache folder: everything in it may be deleted, and is then computed or fetched again. */
import { homedir } from 'node:os'
import { join } from 'node:path'

/** ATTUNE_CACHE, or `attune` in the user's cache folder. */
export const cacheFolder = () =>
  process.env.ATTUNE_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'attune')
