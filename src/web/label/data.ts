/** What the label pages read from the server, and how they change it with a visible result. */
import { type QueryKey, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
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
import { get, useRefreshOn } from '../api.ts'
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

/** Reads what changes with every vote anew when a vote comes in; a vote of many at once is read once. */
export const useLiveProject = (id: number) =>
  useRefreshOn([`project/${id}`], 'projects', 'project', 'progress', 'tasks', 'agreement', 'adjudication', 'history')

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
