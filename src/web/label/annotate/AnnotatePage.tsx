/** The page on which a person labels: one task after the other, or the one of the address. */
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useParams, useSearch } from 'wouter'
import type { Project } from '../../../studio/labels/api.ts'
import { get } from '../../api.ts'
import { Button } from '../../ui/Button.tsx'
import { ErrorNote } from '../../ui/ErrorNote.tsx'
import { Markdown } from '../../ui/Markdown.tsx'
import { useTitle } from '../../ui/PageHead.tsx'
import './annotate.css'
import { Done } from './Done.tsx'
import { Head } from './Head.tsx'
import { Notices } from './Notices.tsx'
import { Task } from './Task.tsx'
import { useLabelling } from './useLabelling.ts'

const AnnotatePage = () => {
  const { project: id } = useParams<{ project: string }>()
  const project = useQuery({
    queryKey: ['project', Number(id)],
    queryFn: () => get<Project>(`/projects/${Number(id)}`),
  })
  if (project.isError) return <ErrorNote error={project.error} />
  return project.data ? <Annotate key={id} project={project.data} /> : null
}

const Annotate = ({ project }: { project: Project }) => {
  const { id } = useParams<{ id?: string }>()
  const adjudicate = new URLSearchParams(useSearch()).has('adjudicate')
  const labelling = useLabelling(project.id, id === undefined ? undefined : Number(id), adjudicate)
  const [guidelines, setGuidelines] = useGuidelines(project.id)
  const { now, progress } = labelling
  useTitle(project.name)
  const toggle = () => setGuidelines(!guidelines)
  return (
    <div className="annotate">
      <Head
        {...{ project, progress, adjudicate, guidelines }}
        view={now.state === 'task' ? now.view : undefined}
        onGuidelines={toggle}
      />
      <Notices labelling={labelling} settings={project.settings} />
      <div className={`annotate-body ${guidelines && project.guidelines ? 'with-guidelines' : ''}`}>
        {guidelines && project.guidelines && (
          <aside className="guidelines card" aria-label="Guidelines">
            <h2>Guidelines</h2>
            <Markdown text={project.guidelines} />
          </aside>
        )}
        {now.state === 'task' && (
          <Task
            key={now.visit}
            {...{ project, labelling, adjudicate }}
            view={now.view}
            start={now.start}
            onGuidelines={toggle}
          />
        )}
        {now.state === 'done' && <Done {...{ project, progress, adjudicate }} onUndo={labelling.undo} />}
        {now.state === 'failed' && (
          <div className="failed">
            <ErrorNote error={now.error} />
            <Button onClick={labelling.reload}>Try again</Button>
          </div>
        )}
      </div>
    </div>
  )
}

/** Open at the first visit to a project where there is room beside the task, then as it was left. */
const useGuidelines = (project: number) => {
  const key = `attune-guidelines/${project}`
  const [open, setOpen] = useState(() => {
    const left = localStorage.getItem(key)
    return left === null ? matchMedia('(min-width: 75rem)').matches : left === 'open'
  })
  const set = (next: boolean) => {
    localStorage.setItem(key, next ? 'open' : 'closed')
    setOpen(next)
  }
  return [open, set] as const
}

export default AnnotatePage
