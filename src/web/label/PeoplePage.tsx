/** Everybody with a link: their role, their projects, what they did. */
import { EmptyState } from '../ui/EmptyState.tsx'
import { ErrorNote } from '../ui/ErrorNote.tsx'
import { PageHead } from '../ui/PageHead.tsx'
import { useAnnotators, useMay, useProjects } from './data.ts'
import { Invite } from './Invite.tsx'
import { PeopleTable } from './PeopleTable.tsx'
import './label.css'

const PeoplePage = () => {
  const owner = useMay('own')
  const people = useAnnotators(owner)
  const projects = useProjects()
  if (!owner) return <EmptyState title="This page is not open to you" />
  if (people.isError) return <ErrorNote error={people.error} page />
  if (!people.data || !projects.data) return null
  return (
    <div className="label-page">
      <PageHead
        title="People"
        crumbs={[{ name: 'Projects', href: '/label' }]}
        lead="Who may open the studio with a link. A link is shown once, when it is made; whoever has it is that person."
        actions={people.data.length > 0 && <Invite projects={projects.data.map(({ id }) => id)} />}
      />
      {people.data.length === 0 ? (
        <EmptyState title="Nobody has a link yet" next={<Invite projects={projects.data.map(({ id }) => id)} />}>
          <p>Make one for each person who labels with you: they need no account, and see only what is open to them.</p>
        </EmptyState>
      ) : (
        <PeopleTable people={people.data} projects={projects.data} />
      )}
    </div>
  )
}

export default PeoplePage
