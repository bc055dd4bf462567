/** What the pages of training read from the server and keep up to date. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import type { Choices, Job, JobDetails, JobPulse, MethodBrief, MethodForm, Retest } from '../../studio/jobs/api.ts'
import type { Project } from '../../studio/labels/api.ts'
import { get, useLive, useRefreshOn } from '../api.ts'

export const useMethods = () =>
  useQuery({ queryKey: ['methods'], queryFn: () => get<MethodBrief[]>('/methods'), staleTime: Infinity })

export const useMethodForm = (name: string) =>
  useQuery({
    queryKey: ['method', name],
    queryFn: () => get<MethodForm>(`/methods/${encodeURIComponent(name)}`),
    staleTime: Infinity,
  })

export const useChoices = () => useQuery({ queryKey: ['choices'], queryFn: () => get<Choices>('/training-choices') })

export const useProjectOf = (id: number | undefined) =>
  useQuery({ queryKey: ['project', id], queryFn: () => get<Project>(`/projects/${id}`), enabled: id !== undefined })

/** All jobs, live. */
export const useJobs = () => {
  useRefreshOn(['jobs'], 'jobs')
  return useQuery({ queryKey: ['jobs'], queryFn: () => get<Job[]>('/jobs') })
}

/** One job, live: its state comes with each pulse, its output is read anew now and then. */
export const useJob = (id: number) => {
  const client = useQueryClient()
  const key = ['job', id]
  useLive(
    [`job/${id}`],
    ({ data }) => {
      const { latest, ...job } = data as JobPulse
      client.setQueryData<JobDetails>(
        key,
        (before) =>
          before && { ...before, ...job, events: latest ? [...before.events.slice(-49), latest] : before.events },
      )
      // Its words on stderr come without a pulse
      if (job.ended) void client.invalidateQueries({ queryKey: key })
    },
    () => void client.invalidateQueries({ queryKey: key }),
  )
  return useQuery({
    queryKey: key,
    queryFn: () => get<JobDetails>(`/jobs/${id}`),
    refetchInterval: ({ state }) => (state.data?.ended === undefined ? 3000 : false),
  })
}

export const useRetests = (project: number) => {
  useRefreshOn(['retests', 'jobs'], 'retests')
  return useQuery({ queryKey: ['retests', project], queryFn: () => get<Retest[]>(`/retests?project=${project}`) })
}

export const runPath = (run: string): string => `/runs/${encodeURIComponent(run)}`

/** learningRate -> Learning rate */
export const words = (key: string): string => {
  const plain = key.replaceAll(/([a-z])([A-Z0-9])/g, '$1 $2').toLowerCase()
  const named: Readonly<Record<string, string>> = {
    'lora r': 'LoRA rank',
    epochs: 'Epochs',
    'lr end': 'Last learning rate',
  }
  return (
    named[plain] ?? (plain[0].toUpperCase() + plain.slice(1)).replace(/\b[Ll]ora\b/, 'LoRA').replace(/\bkl\b/i, 'KL')
  )
}
