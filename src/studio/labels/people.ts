/** Who labels: annotators with the token of a link, of which only a hash is stored, and the projects that are open to them. */
import { httpError } from '../../http/errors.ts'
import type { Db } from '../../store/database.node.ts'
import { type Person, type Role, sameHash, tokenHash } from '../session.ts'
import type { AnnotatorInfo } from './api.ts'

type PersonRow = { id: number; name: string; role: Role; token: string }

const read = ({ id, name, role }: Omit<PersonRow, 'token'>): Person => ({ id, name: JSON.parse(name), role })

/** The annotator whose link has this token. */
export const findAnnotator = (db: Db, token: string): Person | undefined => {
  const hash = tokenHash(token)
  const row = db.get<PersonRow>('SELECT id, name, role, token FROM person WHERE token = ?', hash)
  return row && sameHash(row.token, hash) ? read(row) : undefined
}

/** The names of all who ever labelled, by id. */
export const peopleNames = (db: Db): Map<number, string> =>
  new Map(
    db.all<{ id: number; name: string }>('SELECT id, name FROM person').map(({ id, name }) => [id, JSON.parse(name)]),
  )

export const personNamed = (db: Db, name: string): number | undefined =>
  db.get<{ id: number }>('SELECT id FROM person WHERE name = ?', JSON.stringify(name))?.id

export type NewAnnotator = { name: string; role: Role; projects: number[] }

/** @returns the annotator's id. Names are those of votes, so that no two people may have one. */
export const addAnnotator = (db: Db, { name, role, projects }: NewAnnotator, token: string): number => {
  if (personNamed(db, name) !== undefined) throw httpError(400, `name: there is somebody of this name; take another`)
  const { id } = db.run(
    'INSERT INTO person (name, role, token, created_at) VALUES (?, ?, ?, ?)',
    JSON.stringify(name),
    role,
    tokenHash(token),
    new Date().toISOString(),
  )
  admit(db, id, projects)
  return id
}

const admit = (db: Db, id: number, projects: readonly number[]) => {
  for (const project of new Set(projects)) {
    if (!db.get('SELECT id FROM project WHERE id = ?', project))
      throw httpError(400, `projects: there is no project ${project}`)
    db.run('INSERT INTO member VALUES (?, ?)', project, id)
  }
}

export const changeAnnotator = (db: Db, id: number, { role, projects }: Partial<NewAnnotator>): void => {
  if (!db.get('SELECT 1 FROM person WHERE id = ? AND token IS NOT NULL', id))
    throw httpError(404, `there is no annotator ${id}`)
  if (role) db.run('UPDATE person SET role = ? WHERE id = ?', role, id)
  if (!projects) return
  db.run('DELETE FROM member WHERE person = ?', id)
  admit(db, id, projects)
}

export const annotatorInfos = (db: Db, seen: ReadonlyMap<number, string>): AnnotatorInfo[] =>
  db
    .all<Omit<PersonRow, 'token'> & { votes: number; at: string | null }>(
      'SELECT id, name, role, votes, at FROM person WHERE token IS NOT NULL ORDER BY id',
    )
    .map((row) => ({
      ...read(row),
      projects: db
        .all<{ project: number }>('SELECT project FROM member WHERE person = ? ORDER BY project', row.id)
        .map(({ project }) => project),
      votes: row.votes,
      lastSeen: seen.get(row.id) ?? row.at,
    }))

/** Ends a link. The votes stay, under the name. */
export const endAnnotator = (db: Db, id: number): void => {
  const { changes } = db.run('UPDATE person SET token = NULL WHERE id = ? AND token IS NOT NULL', id)
  if (!changes) throw httpError(404, `there is no annotator ${id}`)
}

/** Status 404 where a project is not there or not open to a person: they are not told which. */
export const requireMember = (db: Db, person: Person, project: number): void => {
  const open =
    person.id === 0
      ? db.get('SELECT 1 FROM project WHERE id = ?', project)
      : db.get('SELECT 1 FROM member WHERE project = ? AND person = ?', project, person.id)
  if (!open) throw httpError(404, `there is no project ${project}, or it is not open to you`)
}
