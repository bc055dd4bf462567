/** Who uses the page. */
import { createContext, useContext } from 'react'
import type { Session } from '../studio/api.ts'

export const SessionContext = createContext<Session | undefined>(undefined)

export const useSession = (): Session => {
  const session = useContext(SessionContext)
  if (!session) throw new Error('used outside of the session')
  return session
}
