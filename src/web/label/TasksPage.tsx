/** All tasks of a project: searched, filtered and sorted by the server, opened by keyboard or pointer. */
import { useEffect, useState } from 'react'
import { useSearchParams } from 'wouter'
import type { TaskRow } from '../../studio/labels/api.ts'
import { Input, Select } from '../ui/Field.tsx'
import { useLiveProject, useNames, useProjectId } from './data.ts'
import { ProjectFrame } from './ProjectFrame.tsx'
import { TaskHistory } from './TaskHistory.tsx'
import { type TaskQuery, TaskTable } from './TaskTable.tsx'
import { states } from './words.ts'
import './tasks.css'

const TasksPage = () => {
  const id = useProjectId()
  return (
    <ProjectFrame id={id} title="Tasks">
      <Tasks id={id} />
    </ProjectFrame>
  )
}

export default TasksPage

const stateOptions = [
  { value: '', name: 'All states' },
  { value: 'unfinished', name: 'Unfinished' },
  ...Object.entries(states).map(([value, { name }]) => ({ value, name })),
  { value: 'gold', name: 'With a known answer' },
]

const Tasks = ({ id }: { id: number }) => {
  useLiveProject(id)
  const [query, change] = useTaskQuery()
  const [shown, setShown] = useState<TaskRow>()
  const people = useNames(id).data ?? []
  return (
    <>
      {/* biome-ignore lint/a11y/useSemanticElements: <search> is not known to all browsers yet */}
      <div role="search" className="filters" aria-label="Tasks">
        <SearchField value={query.search} onChange={(search) => change({ search })} />
        <Select
          aria-label="State"
          value={query.filter}
          options={stateOptions}
          onChange={(filter) => change({ filter })}
        />
        <Select
          aria-label="Annotator"
          value={query.annotator}
          options={[
            { value: '', name: 'All people' },
            ...[...new Set([...people, query.annotator])].filter(Boolean).map((name) => ({ value: name, name })),
          ]}
          onChange={(annotator) => change({ annotator })}
        />
      </div>
      <TaskTable
        id={id}
        query={query}
        onSort={(sort) => change({ sort })}
        onHistory={setShown}
        onClear={() => change({ search: '', filter: '', annotator: '' })}
      />
      {shown && <TaskHistory row={shown} project={id} onClose={() => setShown(undefined)} />}
    </>
  )
}

/** What is asked for stands in the address, so that it is there again after a task was opened. */
const useTaskQuery = (): [TaskQuery, (change: Partial<TaskQuery>) => void] => {
  const [params, setParams] = useSearchParams()
  const query = {
    search: params.get('search') ?? '',
    filter: params.get('filter') ?? '',
    annotator: params.get('annotator') ?? '',
    sort: params.get('sort') ?? '',
  }
  const change = (changed: Partial<TaskQuery>) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before)
        for (const [name, value] of Object.entries(changed)) {
          if (value) after.set(name, value)
          else after.delete(name)
        }
        return after
      },
      { replace: true },
    )
  return [query, change]
}

/** Asks the server when typing pauses. */
const SearchField = ({ value, onChange }: { value: string; onChange(value: string): void }) => {
  const [typed, setTyped] = useState(value)
  useEffect(() => setTyped(value), [value])
  useEffect(() => {
    if (typed === value) return
    const timer = setTimeout(() => onChange(typed), 200)
    return () => clearTimeout(timer)
    // onChange is a new function at each render
  }, [typed, value])
  return (
    <Input
      type="search"
      value={typed}
      placeholder="Search prompts and responses"
      aria-label="Search prompts and responses"
      onChange={({ target }) => setTyped(target.value)}
    />
  )
}
