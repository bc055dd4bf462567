/** Changes that are made once, however often their request arrives: the answer is stored with the change. */
import { httpError } from '../../http/errors.ts'
import type { Db } from '../../store/database.node.ts'

export type Change = {
  person: number
  requestId: string
  /** What is asked for: the same id for something else is a mistake. */
  what: string
}

/** @param work runs inside of a transaction, and gives what is answered, as JSON, now and to every retry */
export const once = <T>(db: Db, { person, requestId, what }: Change, work: () => T): { answer: T; again: boolean } =>
  db.transaction(() => {
    const known = db.get<{ what: string; answer: string }>(
      'SELECT what, answer FROM request WHERE person = ? AND id = ?',
      person,
      requestId,
    )
    if (known && known.what !== what)
      throw httpError(400, 'requestId: this id was used for another change; take a new one for each')
    if (known) return { answer: JSON.parse(known.answer) as T, again: true }
    const answer = work()
    db.run(
      'INSERT INTO request VALUES (?, ?, ?, ?, ?)',
      person,
      requestId,
      what,
      JSON.stringify(answer ?? null),
      new Date().toISOString(),
    )
    return { answer, again: false }
  })
