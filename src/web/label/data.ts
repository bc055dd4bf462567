/** What the label pages read from the server, and how they change it with a visible result. */
import { type QueryKey, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'
import { useParams } from 'wouter'
import type {
  Agreement,
  AnnotatorInfo,
  FileEntry,
  Progress,
  Project,
  ProjectSummary,
  TaskPage,
  TaskView,
  VoteRecord,
} from '../../studio/labels/api.ts'
import type { Role } from '../../studio/session.ts'
import { get, useLive } from '../api.ts'
import { useSession } from '../session.ts'
import { useToast } from '../ui/Toasts.tsx'

/** The project of the address. */
export const useProjectId = (): number => Number(useParams<{ project: string }>().project)

const ranks: readonly Role[] = ['annotate', 'adjudicate', 'own']

/** Whether the person may do what this role may. */
export const useMay = (role: Role): boolean => {
  const { person } = useSession()
  return ranks.indexOf(person.role) >= ranks.indexOf(role)
}

export const useProjects = () =>
  useQuery({ queryKey: ['projects'], queryFn: ({ signal }) => get<ProjectSummary[]>('/projects', { signal }) })

export const useProject = (id: number) =>
  useQuery({ queryKey: ['project', id], queryFn: ({ signal }) => get<Project>(`/projects/${id}`, { signal }) })

export const useProgress = (id: number) =>
  useQuery({
    queryKey: ['progress', id],
    queryFn: ({ signal }) => get<Progress>(`/projects/${id}/progress`, { signal }),
  })

export const useAnnotators = (enabled: boolean) =>
  useQuery({
    queryKey: ['annotators'],
    queryFn: ({ signal }) => get<AnnotatorInfo[]>('/annotators', { signal }),
    enabled,
  })

export const useAgreement = (id: number) =>
  useQuery({
    queryKey: ['agreement', id],
    queryFn: ({ signal }) => get<Agreement>(`/projects/${id}/agreement`, { signal }),
    placeholderData: (before) => before,
  })

/** The names of all who labelled in a project. */
export const useNames = (id: number) =>
  useQuery({
    queryKey: ['names', id],
    queryFn: async ({ signal }) => {
      const { annotators } = await get<Agreement>(`/projects/${id}/agreement`, { signal })
      return annotators.map(({ name }) => name)
    },
    staleTime: 60_000,
  })

export const useFiles = (folder: string) =>
  useQuery({
    queryKey: ['files', folder],
    queryFn: ({ signal }) => get<FileEntry[]>(`/files?folder=${encodeURIComponent(folder)}`, { signal }),
  })

export const useHistory = (task: number) =>
  useQuery({
    queryKey: ['history', task],
    queryFn: ({ signal }) => get<VoteRecord[]>(`/tasks/${task}/history`, { signal }),
  })

export const useTask = (task: number) =>
  useQuery({ queryKey: ['task', task], queryFn: ({ signal }) => get<TaskView>(`/tasks/${task}`, { signal }) })

export const readTasks = (path: string, query: URLSearchParams, signal?: AbortSignal) =>
  get<TaskPage>(`${path}?${query}`, { signal })

const changing = ['projects', 'progress', 'tasks', 'agreement', 'adjudication', 'history']
/** Many people vote: what is shown is read anew once in so many milliseconds. */
const pause = 1000

/** Reads what votes change anew when there was one. */
export const useLiveLabels = (topic: string) => {
  const client = useQueryClient()
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  const read = (keys: readonly string[]) => {
    for (const key of keys) void client.invalidateQueries({ queryKey: [key] }, { cancelRefetch: false })
  }
  const later = () => {
    if (timer.current !== undefined) return
    read(changing)
    timer.current = setTimeout(() => {
      timer.current = undefined
      read(changing)
    }, pause)
  }
  useEffect(() => () => clearTimeout(timer.current), [])
  useLive([topic], later, () => read([...changing, 'project']))
}

export const useLiveProject = (id: number) => useLiveLabels(`project/${id}`)

/**
 * A change: when it is done the queries that begin with `reads` are read anew and a toast says `done`; when it is refused a
 * toast has the server's words.
 */
export const useChange = <Given, Answer>(
  change: (given: Given) => Promise<Answer>,
  {
    reads,
    done,
    after,
  }: { reads: readonly QueryKey[]; done?: (answer: Answer) => string; after?: (answer: Answer) => void },
) => {
  const client = useQueryClient()
  const toast = useToast()
  return useMutation({
    mutationFn: change,
    onSuccess: (answer) => {
      for (const queryKey of reads) void client.invalidateQueries({ queryKey })
      if (done) toast({ text: done(answer) })
      after?.(answer)
    },
    onError: (error) => toast({ text: error.message, look: 'error' }),
  })
}

/** Where a task is labelled, or decided by an adjudicator. */
export const taskAddress = (project: number, task: number, adjudicate = false) =>
  `/label/${project}/task/${task}${adjudicate ? '?adjudicate=1' : ''}`
