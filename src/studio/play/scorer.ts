/**
 * A process that scores answers for the playground: with a reward model or a judge, named by its arguments `reward MODEL` or
 * `judge MODEL`, opened once. It answers messages one after the other, and ends when its parent is gone.
 */
import { encodeScored } from '../../data/examples.ts'
import { isMessages } from '../../data/rows.ts'
import { openJudge } from '../../feedback/judge/judge.ts'
import { readGrade } from '../../rewards/grade.ts'
import { openRewardModel } from '../../rewards/modelReward.ts'
import { trainedWithChat } from '../../runs/find.node.ts'
import { badInput, Fault } from '../../util/fault.ts'
import type { AnswerScore, ScoreRequest } from './api.ts'

type Question = Pick<ScoreRequest, 'prompt' | 'answers'>
type Score = (question: Question) => Promise<AnswerScore[]>

/** What this process sends: once that it is ready, then an answer to each question. */
export type ScorerMessage = { ready: true } | { id: number; scores: AnswerScore[] } | { id: number; error: string }
export type ScorerQuestion = Question & { id: number }

/** The last turn of the user, or the text. */
const questionOf = (prompt: Question['prompt']): string =>
  typeof prompt === 'string' ? prompt : String(prompt.findLast(({ role }) => role === 'user')?.content ?? '')

const openReward = async (name: string): Promise<Score> => {
  const { model, tokenizer, rewards, dir } = await openRewardModel({ model: name })
  if (!tokenizer) throw badInput('no-tokenizer', 'has no tokenizer, and is to read text', { file: dir })
  // One that was trained on plain prompts reads them as it did there
  const readsChats = tokenizer.chat !== undefined && (await trainedWithChat(name)) !== false
  return async ({ prompt, answers }) => {
    const asked = isMessages(prompt) && !readsChats ? questionOf(prompt) : prompt
    const { prompt: trunk, responses } = encodeScored(tokenizer, asked, answers)
    const room = model.config.max_position_embeddings - trunk.length
    const branches = responses.filter((ids) => ids.length > 0 && ids.length <= room)
    const scored = branches.length ? (await rewards([{ trunk, branches }]))[0] : []
    let next = 0
    return responses.map((ids): AnswerScore => {
      if (ids.length === 0) return { error: 'the answer is empty' }
      if (ids.length > room)
        return { error: `longer than the ${model.config.max_position_embeddings} tokens of the reward model` }
      const { reward, sigma } = scored[next++]
      return { value: reward, ...(sigma !== undefined && { deviation: sigma }) }
    })
  }
}

const openGrader = async (name: string): Promise<Score> => {
  const judge = await openJudge(name, { mode: 'single', maxNewTokens: 512, readGrade })
  return async ({ prompt, answers }) => {
    const cases = answers.map((answer, id) => ({ id, question: questionOf(prompt), prompt, answers: [answer] }))
    const scores: AnswerScore[] = []
    for await (const { scores: grades, reason } of judge.judge(cases))
      scores.push(grades.length ? { value: grades[0], reason } : { error: reason })
    return scores
  }
}

const messageOf = (error: unknown): string => (error instanceof Fault ? error.message : String(error))

const send = (message: ScorerMessage) => process.send?.(message)

const [kind, name] = process.argv.slice(2)
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
try {
  const score = await (kind === 'judge' ? openGrader(name) : openReward(name))
  let last: Promise<unknown> = Promise.resolve()
  process.on('message', ({ id, ...question }: ScorerQuestion) => {
    last = last
      .then(() => score(question))
      .then(
        (scores) => send({ id, scores }),
        (error) => send({ id, error: messageOf(error) }),
      )
  })
  send({ ready: true })
} catch (error) {
  process.stderr.write(`error: ${messageOf(error)}\n`)
  process.exitCode = 1
  process.disconnect?.()
}
