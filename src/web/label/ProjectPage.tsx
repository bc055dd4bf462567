/** The overview of a project: guidelines, people, rows in and labels out. An annotator sees the guidelines and own progress. */
import { GraduationCap } from 'lucide-react'
import { Link } from 'wouter'
import { Card } from '../ui/Card.tsx'
import { useLiveProject, useMay, useProgress, useProject, useProjectId } from './data.ts'
import { ExportCard } from './ExportCard.tsx'
import { Guidelines } from './Guidelines.tsx'
import { ImportCard } from './ImportCard.tsx'
import { LabelStudioCard } from './LabelStudioCard.tsx'
import { PeopleCard } from './PeopleCard.tsx'
import { ProjectFrame } from './ProjectFrame.tsx'

const ProjectPage = () => {
  const id = useProjectId()
  useLiveProject(id)
  return (
    <ProjectFrame id={id} title="Overview" needs="annotate">
      <Overview id={id} />
    </ProjectFrame>
  )
}

export default ProjectPage

const Overview = ({ id }: { id: number }) => {
  const owner = useMay('own')
  const adjudicator = useMay('adjudicate')
  const project = useProject(id).data
  const tasks = useProgress(id).data?.tasks
  if (!project || tasks === undefined) return null
  return (
    <div className="overview">
      <div className="stack">
        {owner && tasks === 0 && <ImportCard id={id} first />}
        <Guidelines project={project} editable={owner} />
        {owner && <PeopleCard id={id} />}
      </div>
      {adjudicator && tasks > 0 && (
        <div className="stack">
          <ExportCard project={project} />
          {owner && <TrainCard id={id} />}
          {owner && <ImportCard id={id} />}
          {owner && <LabelStudioCard id={id} name={project.name} />}
        </div>
      )}
    </div>
  )
}

const TrainCard = ({ id }: { id: number }) => (
  <Card title="Train">
    <p className="soft">
      A reward model, or DPO, on the labels as they are now; then a blind re-test says whether people prefer its
      answers.
    </p>
    <p className="row">
      <Link className="button" href={`/train?project=${id}`}>
        <GraduationCap size={16} aria-hidden /> Train on these labels
      </Link>
      <Link className="button quiet" href={`/train/loop/${id}`}>
        Label, train, re-test
      </Link>
    </p>
  </Card>
)
