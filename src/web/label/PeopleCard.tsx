/** Who may label a project, and the links for them. */
import { Link } from 'wouter'
import { Card } from '../ui/Card.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { useAnnotators } from './data.ts'
import { Invite } from './Invite.tsx'
import { PeopleTable } from './PeopleTable.tsx'

export const PeopleCard = ({ id }: { id: number }) => {
  const people = useAnnotators(true)
  const here = people.data?.filter(({ projects }) => projects.includes(id)) ?? []
  return (
    <Card title="People" actions={<Invite projects={[id]} />}>
      {people.isError && <ErrorNote error={people.error} />}
      {people.data && here.length === 0 && (
        <p className="soft">
          Only you. Give somebody a link: they label without an account, and see nothing but what is open to them.
        </p>
      )}
      {here.length > 0 && <PeopleTable people={here} />}
      {(people.data?.length ?? 0) > here.length && (
        <p>
          <Link href="/label/people">Open it to people who have a link already</Link>
        </p>
      )}
    </Card>
  )
}
