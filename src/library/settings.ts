/** The settings of the library, with their descriptions and defaults: made from the schemas by `npm run api`, not by hand. */
import type { CustomLoss, PreferenceLosses } from '../recipes/trainer/objectives.ts'
import type { RewardSource } from './rewards.ts'
import type { Data, KtoRow, PreferenceRow, PromptRow, RankingRow, SftRow, UnknownPromptRow } from './rows.ts'

/** What all training methods take. */
export interface TrainingSettings {
  /** The model to start from: a folder in Hugging Face layout, a hub id or the name of a run. */
  model: string
  /** A PEFT adapter of that model, to continue training it. */
  adapter?: string
  /**
   * The name that a column has in your file, if another one is expected: chosen=good.
   * @default {}
   */
  column?: Record<string, string>
  /**
   * Read plain rows as a chat: a prompt is the user's message and a response the assistant's, in the chat template of the model.
   * @default false
   */
  chat?: boolean
  /** Use only the first N rows. */
  maxSamples?: number
  /**
   * Shuffle the rows anew in every epoch.
   * @default true
   */
  shuffle?: boolean
  /**
   * Gradient accumulation: batches per optimizer step.
   * @default 1
   */
  gradAccum?: number
  /**
   * Learning rate schedule after the warm-up.
   * @default 'linear'
   */
  schedule?:
    | 'linear'
    | 'cosine'
    | 'cosine_with_restarts'
    | 'cosine_with_min_lr'
    | 'polynomial'
    | 'constant'
    | 'constant_with_warmup'
    | 'inverse_sqrt'
    | 'warmup_stable_decay'
  /**
   * An option of the schedule: minLrRate=0.1, numDecaySteps=100.
   * @default {}
   */
  scheduleOption?: {
    /** cosine, cosine_with_min_lr: waves, 0.5 by default (half a wave, down to the end); cosine_with_restarts: how often it begins anew, 1. */
    numCycles?: number
    /** polynomial: its power, 1 by default. */
    power?: number
    /** polynomial: the learning rate at the end, 1e-7 by default. */
    lrEnd?: number
    /** inverse_sqrt: steps after the warm-up until the rate is its peak divided by the root of 2; by default as many as the warm-up has, or 10,000 without one. */
    timescale?: number
    /** cosine_with_min_lr: the floor as a part of the learning rate. */
    minLrRate?: number
    /** warmup_stable_decay: steps of the last phase. */
    numDecaySteps?: number
    /** warmup_stable_decay: where both ramps end, as a part of the learning rate; 0. */
    minLrRatio?: number
  }
  /**
   * Steps in which the learning rate rises from 0 to its peak.
   * @default 0
   */
  warmupSteps?: number
  /**
   * Weight decay of all weights but norms and biases.
   * @default 0
   */
  weightDecay?: number
  /**
   * Clip the gradient to this norm; 0 does not clip.
   * @default 1
   */
  maxGradNorm?: number
  /**
   * Keep the activations of the forward pass (fast), or recompute them to save memory (low).
   * @default 'auto'
   */
  memory?: 'auto' | 'fast' | 'low'
  /** Train a LoRA adapter of this rank instead of all weights. */
  loraR?: number
  /** LoRA alpha: the adapter is scaled by alpha / r (default: 32). */
  loraAlpha?: number
  /** Modules that get an adapter: q_proj,v_proj, or all-linear for all linear modules but the head, or peft for PEFT's choice, queries and values (default: all-linear). */
  loraTarget?: string[]
  /** DoRA: learn the length of each row of the adapted weights by itself, the adapter only its direction. */
  useDora?: boolean
  /**
   * QLoRA: quantize the frozen weights of the layers' linear modules to 8 or 4 bits; the adapter stays in float32.
   * @default 'none'
   */
  quantize?: 'none' | 'int8' | 'int4' | 'nf4' | 'fp4'
  /** Instead of `evalData`: the fraction of the training rows to hold out for evaluation. */
  evalSplit?: number
  /**
   * The run folder: settings, log, checkpoints, and the trained model or adapter.
   * @default a new folder in attune-runs
   */
  output?: string
  /**
   * Save a checkpoint every N steps.
   * @default 500
   */
  saveEvery?: number
  /**
   * How many of the newest checkpoints to keep.
   * @default 2
   */
  keep?: number
  /**
   * Continue the run in `output` from its newest intact checkpoint.
   * @default false
   */
  resume?: boolean
  /**
   * Data type of the weights in the saved model.
   * @default 'float32'
   */
  saveDtype?: 'float32' | 'bfloat16' | 'float16'
  /** Also write the metrics for TensorBoard, into tb/. */
  reportTo?: 'tensorboard'
  /** Upload the result to this repository of the hub; a new one is private. */
  pushToHub?: string
  /**
   * The device to compute on.
   * @default 'auto'
   */
  device?: 'auto' | 'cpu' | 'webgpu' | 'cuda'
  /** CPU threads (default: one a core); they do not change any result. */
  threads?: number
  /**
   * How the products of the linear modules are computed: fp32, int8 (weights in 8 bits, computed exactly), int8-fast (inputs rounded to 8 bits as well).
   * @default 'fp32'
   */
  compute?: 'fp32' | 'int8' | 'int8-fast'
  /** Share the work out to machines that run "attune worker" at the same Redis (redis://HOST:6379); the result is the same. */
  workers?: string
  /** A folder that all machines see, or s3://BUCKET/PREFIX, for models, rows and results (default: over HTTP from this machine). */
  workersFiles?: string
  /** The address at which workers reach this machine (default: the one that Redis is reached from). */
  workersHost?: string
}

/** What the methods take that learn from given completions. */
export interface DataTrainingSettings extends TrainingSettings {
  /**
   * Maximum number of tokens of a row; longer rows are cut at the end.
   * @default 1024
   */
  maxLength?: number
  /** Maximum number of tokens of a prompt; longer prompts are cut at their beginning. */
  maxPromptLength?: number
  /**
   * Passes over the rows.
   * @default 3
   */
  epochs?: number
  /** Stop after N optimizer steps, even if `epochs` asks for more. */
  maxSteps?: number
  /**
   * Rows of a batch; a batch with many tokens is computed in parts (micro-batches).
   * @default 8
   */
  batchSize?: number
  /**
   * The optimizer, with the default settings of torch.optim.
   * @default 'adamw'
   */
  optimizer?: 'adamw' | 'adam' | 'sgd' | 'rmsprop'
  /** Evaluate every N steps (default: once an epoch). */
  evalEvery?: number
  /**
   * The metric that decides which checkpoint is the best and becomes the result; none: always the last.
   * @default 'eval_loss'
   */
  bestMetric?: string
  /** Early stopping: stop after N evaluations without a better one. */
  patience?: number
  /**
   * Random seed for the order of rows, dropout and new LoRA weights.
   * @default 42
   */
  seed?: number
}

/** What all methods take that learn from rewards of their own completions. A batch is of prompts. */
export interface RlSettings<Row extends PromptRow = UnknownPromptRow> extends TrainingSettings {
  /**
   * Maximum number of tokens of a completion.
   * @default 256
   */
  maxNewTokens?: number
  /**
   * Sampling temperature; the logits are divided by it in training too.
   * @default 1
   */
  temperature?: number
  /**
   * Nucleus sampling: draw from the most likely tokens that together have this probability; below 1 the importance ratios are biased.
   * @default 1
   */
  topP?: number
  /** Draw from the K most likely tokens; the importance ratios are then biased. */
  topK?: number
  /**
   * Leave out tokens less likely than this fraction of the most likely one; above 0 the importance ratios are biased.
   * @default 0
   */
  minP?: number
  /**
   * Leave completions that were cut off at `maxNewTokens` out of the loss.
   * @default false
   */
  maskTruncated?: boolean
  /** Stop once KL(policy || reference) of a rollout exceeds this, in nats a completion, on average. */
  klBudget?: number
  /**
   * Show example completions every N steps.
   * @default 50
   */
  sampleEvery?: number
  /**
   * Keep every completion with its log-probs, rewards and advantages in rollouts/.
   * @default true
   */
  keepRollouts?: boolean
  /** What gives the rewards: a reward model (folder, hub id, run), a module of yours (rewards.ts), exact:COLUMN (1 if the completion equals the column), regex:PATTERN (1 if it is found), schema:FILE.json, arithmetic, or a judge (judge:MODEL, or URL#MODEL of a server); NAME=SPEC names it in the metrics; or functions of the program. */
  reward: RewardSource<Row> | RewardSource<Row>[]
  /** Weight of each reward in their sum (default: 1 each). */
  rewardWeights?: number[]
  /** What a judge does: single (the default) grades each completion from 1 to 10; pairwise compares the completions of a prompt, each pair in both orders, and rewards the share of comparisons won. */
  judgeMode?: 'single' | 'pairwise'
  /** A prompt for judges in place of attune's own, as `attune judge` takes it. */
  judgePrompt?: string
  /**
   * Normalise the scores of reward models by the mean and standard deviation that were saved with them.
   * @default false
   */
  normalizeRewards?: boolean
  /**
   * Timeout of a call of a reward function, in seconds.
   * @default 60
   */
  rewardTimeout?: number
  /** Subtract this from the reward of a completion that does not end with an end token. */
  missingEosPenalty?: number
  /** Rows with prompts; rewards can read their other columns: jsonl, json, csv, tsv, parquet, jsonl.gz, or a hub data set (owner/name); or rows of the program, which are kept in the cache under the hash of their content. */
  data: Data<Row>
  /**
   * Maximum number of tokens of prompt and completion together.
   * @default 1024
   */
  maxLength?: number
  /** Leave out prompts of more tokens. */
  maxPromptLength?: number
  /**
   * Passes over the rows.
   * @default 3
   */
  epochs?: number
  /** Stop after N optimizer steps, even if `epochs` asks for more. */
  maxSteps?: number
  /**
   * The optimizer, with the default settings of torch.optim.
   * @default 'adamw'
   */
  optimizer?: 'adamw' | 'adam' | 'sgd' | 'rmsprop'
  /**
   * Dropout of the adapter's input while training.
   * @default 0
   */
  loraDropout?: number
  /** Rows to evaluate on; or rows of the program. */
  evalData?: Data<Row>
  /** Evaluate every N steps (default: once an epoch). */
  evalEvery?: number
  /**
   * The metric that decides which checkpoint is the best and becomes the result; none: always the last.
   * @default 'eval_reward'
   */
  bestMetric?: string
  /** Early stopping: stop after N evaluations without a better one. */
  patience?: number
  /**
   * Random seed for the order of prompts, sampling, dropout and new weights.
   * @default 42
   */
  seed?: number
}

/** What the methods of self-play take. */
export interface SelfPlaySettings extends TrainingSettings {
  /**
   * Number of iterations; in each the model completes the prompts, then learns to rank the data above its completions.
   * @default 3
   */
  iterations?: number
  /**
   * How strongly the policy is kept close to the snapshot of the last iteration; several are for one iteration each, the last for all later ones.
   * @default [0.1]
   */
  beta?: number[]
  /**
   * Train on the completions of the last two iterations, as SPIN did.
   * @default false
   */
  mixIterations?: boolean
  /**
   * Of completions with the same text keep the best-ranked one (drop), or give all of them its rank (tie).
   * @default 'drop'
   */
  onEqual?: 'drop' | 'tie'
  /**
   * Maximum number of tokens of the model's own completions.
   * @default 256
   */
  maxNewTokens?: number
  /**
   * Sampling temperature of its own completions; 0 is greedy decoding.
   * @default 1
   */
  temperature?: number
  /**
   * Nucleus sampling: draw from the most likely tokens that together have this probability.
   * @default 1
   */
  topP?: number
  /**
   * Stop after an iteration whose margin on the evaluation rows is not different from 0.
   * @default false
   */
  stopMargin?: boolean
  /**
   * Measure how often greedy completions of the evaluation prompts equal the data.
   * @default true
   */
  exactMatch?: boolean
  /**
   * Also rank a completion of the original model, behind all others.
   * @default false
   */
  historic?: boolean
  /** Training rows: jsonl, json, csv, tsv, parquet, jsonl.gz, or a hub data set (owner/name); or rows of the program, which are kept in the cache under the hash of their content. */
  data: Data<SftRow>
  /**
   * Maximum number of tokens of a row; longer rows are cut at the end.
   * @default 1024
   */
  maxLength?: number
  /** Maximum number of tokens of a prompt; longer prompts are cut at their beginning. */
  maxPromptLength?: number
  /**
   * Passes over the rows in each iteration.
   * @default 3
   */
  epochs?: number
  /** Maximum number of optimizer steps of each iteration. */
  maxSteps?: number
  /**
   * Rows of a batch; a batch with many tokens is computed in parts (micro-batches).
   * @default 8
   */
  batchSize?: number
  /**
   * Peak learning rate; several are for one iteration each, the last for all later ones.
   * @default 5e-6; with LoRA 5e-5
   */
  learningRate?: number[]
  /**
   * The optimizer, with the default settings of torch.optim.
   * @default 'rmsprop'
   */
  optimizer?: 'adamw' | 'adam' | 'sgd' | 'rmsprop'
  /**
   * Dropout of the adapter's input while training.
   * @default 0
   */
  loraDropout?: number
  /** Rows to evaluate on; or rows of the program. */
  evalData?: Data<SftRow>
  /**
   * Random seed for the order of rows, dropout and new LoRA weights.
   * @default 42
   */
  seed?: number
}

/** Supervised fine-tuning (SFT) on texts, conversations, or prompts with completions: the settings of `sft`. */
export interface SftSettings extends DataTrainingSettings {
  /**
   * Negative log-likelihood, or dynamic fine-tuning, which weights each token by the model's probability.
   * @default 'nll'
   */
  loss?: 'nll' | 'dft'
  /**
   * Probability mass that is spread evenly over the vocabulary.
   * @default 0
   */
  labelSmoothing?: number
  /**
   * Of rows with a prompt, learn only the completion.
   * @default true
   */
  completionOnlyLoss?: boolean
  /**
   * Of rows with messages, learn only the assistant's turns.
   * @default false
   */
  assistantOnlyLoss?: boolean
  /** Training rows: jsonl, json, csv, tsv, parquet, jsonl.gz, or a hub data set (owner/name); or rows of the program, which are kept in the cache under the hash of their content. */
  data: Data<SftRow>
  /**
   * Peak learning rate.
   * @default 2e-5; with LoRA 2e-4
   */
  learningRate?: number
  /**
   * Dropout of the adapter's input while training.
   * @default 0.05
   */
  loraDropout?: number
  /** Rows to evaluate on; or rows of the program. */
  evalData?: Data<SftRow>
  /** What the labels of completions mean: 'up=true,down=false', or '>=4' for ratings from 4 on (default: true, yes, good, 👍 and 1 are good). */
  label?: string
  /** The defaults of TRL 1.16.0 for what you do not give, where they differ: learning-rate 2e-5, lora-target peft. */
  like?: 'trl'
}

/** Learn from preferences: DPO and its family, on pairs of responses or rankings of several (Plackett-Luce): the settings of `dpo`. */
export interface DpoSettings extends DataTrainingSettings {
  /**
   * One of sigmoid, hinge, ipo, sigmoid_norm, exo_pair, nca_pair, robust, bco_pair, sppo_hard, aot, aot_unpaired, apo_zero, apo_down, discopop, sft, cpo, orpo, simpo, plackett-luce, or several with weights: sigmoid:0.8,sft:0.2; or a function of your own.
   * @default 'sigmoid'
   */
  loss?: PreferenceLosses | CustomLoss
  /**
   * How strongly the policy is kept close to the reference model; larger stays closer.
   * @default 0.1
   */
  beta?: number
  /** Probability that the preference of a row is wrong (default: 0; exo_pair 0.001). */
  labelSmoothing?: number
  /**
   * Target reward margin of simpo.
   * @default 0.5
   */
  simpoGamma?: number
  /** Weight of the chosen response's negative log-likelihood (default: cpo 1, simpo 0). */
  cpoAlpha?: number
  /**
   * Alpha of AlphaPO, which reshapes the rewards of cpo and simpo; 0 leaves them unchanged.
   * @default 0
   */
  alpha?: number
  /**
   * Count the prompt in the likelihood term of orpo, as TRL does.
   * @default false
   */
  orpoPrompt?: boolean
  /** Weight of the tokens of a response beyond the length of the shorter one (LD-DPO). */
  ldAlpha?: number
  /**
   * Compare the policy's log-probs alone, without a reference model, as SLiC does.
   * @default false
   */
  referenceFree?: boolean
  /**
   * Weight each row by how likely its responses are under the policy (WPO).
   * @default false
   */
  wpo?: boolean
  /**
   * Divergence between policy and reference model (f-DPO).
   * @default 'reverse_kl'
   */
  fDivergence?: 'reverse_kl' | 'forward_kl' | 'js_divergence' | 'alpha_divergence'
  /**
   * Alpha of the alpha divergence.
   * @default 0.5
   */
  fAlpha?: number
  /**
   * Temperature of discopop.
   * @default 0.05
   */
  discopopTau?: number
  /**
   * How plackett-luce treats responses of equal rank.
   * @default 'marginal'
   */
  ties?: 'marginal' | 'breslow'
  /** Training rows: jsonl, json, csv, tsv, parquet, jsonl.gz, or a hub data set (owner/name); or rows of the program, which are kept in the cache under the hash of their content. */
  data: Data<PreferenceRow | RankingRow>
  /**
   * Peak learning rate.
   * @default 5e-6; with LoRA 5e-5
   */
  learningRate?: number
  /**
   * Dropout of the adapter's input while training.
   * @default 0
   */
  loraDropout?: number
  /** Rows to evaluate on; or rows of the program. */
  evalData?: Data<PreferenceRow | RankingRow>
  /** The defaults of TRL 1.16.0 for what you do not give, where they differ: learning-rate 1e-6, lora-target peft. */
  like?: 'trl'
}

/** Learn from single completions that are marked good or bad, without pairs (KTO, APO-zero): the settings of `kto`. */
export interface KtoSettings extends DataTrainingSettings {
  /**
   * The objective.
   * @default 'kto'
   */
  loss?: 'kto' | 'apo_zero_unpaired'
  /**
   * How strongly the policy is kept close to the reference model; larger stays closer.
   * @default 0.1
   */
  beta?: number
  /**
   * Weight of good completions in the loss.
   * @default 1
   */
  desirableWeight?: number
  /**
   * Weight of bad completions in the loss.
   * @default 1
   */
  undesirableWeight?: number
  /** Training rows: jsonl, json, csv, tsv, parquet, jsonl.gz, or a hub data set (owner/name); or rows of the program, which are kept in the cache under the hash of their content. */
  data: Data<KtoRow>
  /**
   * Peak learning rate.
   * @default 5e-6; with LoRA 5e-5
   */
  learningRate?: number
  /**
   * Dropout of the adapter's input while training.
   * @default 0
   */
  loraDropout?: number
  /** Rows to evaluate on; or rows of the program. */
  evalData?: Data<KtoRow>
  /** What the labels of completions mean: 'up=true,down=false', or '>=4' for ratings from 4 on (default: true, yes, good, 👍 and 1 are good). */
  label?: string
  /** The defaults of TRL 1.16.0 for what you do not give, where they differ: shuffle false, learning-rate 1e-6, lora-target peft. */
  like?: 'trl'
}

/** Train a reward model on pairs of responses, rankings or best-of-N choices: the settings of `reward`. */
export interface RewardSettings extends DataTrainingSettings {
  /** The objective (default: by the rows; pairs: pairwise, one best: best-of-n, lists: ranking); pair trains a pair ranker from an encoder. */
  kind?: 'pairwise' | 'best-of-n' | 'ranking' | 'plackett-luce' | 'probabilistic' | 'pair'
  /**
   * Loss of a pair ranker: of the difference of both scores, or of each score with a label.
   * @default 'difference'
   */
  pairLoss?: 'difference' | 'labels'
  /**
   * Weight of a penalty that keeps the mean reward near 0; 0.01 is usual.
   * @default 0
   */
  centerRewards?: number
  /**
   * Probability that the order of a pair is wrong.
   * @default 0
   */
  labelSmoothing?: number
  /**
   * Margin by which the better response should win: the column "margin" (auto), or the difference of the ratings.
   * @default 'auto'
   */
  margins?: 'auto' | 'ratings' | 'none'
  /**
   * N of a probabilistic reward model, which gives a distribution over the scores 1 to N.
   * @default 10
   */
  numScores?: number
  /** Start from the score.weight in this safetensors file. */
  head?: string
  /**
   * Add a bias with which the best responses of the rows have a mean reward of 0 before training.
   * @default false
   */
  initBias?: boolean
  /** Training rows: jsonl, json, csv, tsv, parquet, jsonl.gz, or a hub data set (owner/name); or rows of the program, which are kept in the cache under the hash of their content. */
  data: Data<PreferenceRow | RankingRow>
  /**
   * Peak learning rate.
   * @default 3e-5; with LoRA 3e-4
   */
  learningRate?: number
  /**
   * Dropout of the adapter's input while training.
   * @default 0.05
   */
  loraDropout?: number
  /** Rows to evaluate on; or rows of the program. */
  evalData?: Data<PreferenceRow | RankingRow>
  /** The defaults of TRL 1.16.0 for what you do not give, where they differ: learning-rate 1e-4, lora-dropout 0, lora-target peft. */
  like?: 'trl'
}

/** Self-play: learn to prefer the data to the completions of the model's last snapshot (SPIN, T-SPIN): the settings of `spin`. */
export interface SpinSettings extends SelfPlaySettings {
  /**
   * Plackett-luce on two completions is the logistic loss of SPIN; t-spin has no reference model and turns `historic` on.
   * @default 'plackett-luce'
   */
  loss?: 'plackett-luce' | 't-spin'
  /**
   * Weight of the historical advantage in t-spin.
   * @default 1
   */
  historicWeight?: number
}

/** Self-play with helper models: learn to rank the data first, then the helpers' completions, then those of the model's last snapshot (aSFT): the settings of `asft`. */
export interface AsftSettings extends SelfPlaySettings {
  /** A stronger model whose completions are ranked between the data and its own: a folder, hub id or run, a server (URL#MODEL), or column:NAME of the data, the best first. */
  helper: string[]
  /** Rank of each helper; the data has rank 1, equal ranks tie (default: 2,3,... in their order). */
  helperRanks?: number[]
}

/** On-policy distillation: learn at each token of its own completions what a teacher model would have said there (GKD, forward and reverse KL): the settings of `distill`. */
export interface DistillSettings extends TrainingSettings {
  /** The model to learn from: a folder, hub id or run with the same tokenizer, or a server that tells log-probs of a prompt (URL#MODEL), such as `attune serve`. */
  teacher: string
  /**
   * The divergence from the teacher: 0 is the forward KL(teacher || student), 1 the reverse KL(student || teacher), between them the generalised Jensen-Shannon divergence.
   * @default 0.5
   */
  beta?: number
  /**
   * Fraction of the batches whose completions the student samples itself (on-policy); the others learn on those of the data. With 1 rows need no completions.
   * @default 0.5
   */
  lmbda?: number
  /**
   * Where the student does not sample, the teacher does, in place of the completions of the data (sequence-level distillation).
   * @default false
   */
  seqKd?: boolean
  /**
   * Sampling temperature of completions; it does not change the loss.
   * @default 0.9
   */
  temperature?: number
  /**
   * Maximum number of tokens of a sampled completion.
   * @default 128
   */
  maxNewTokens?: number
  /**
   * The logits of both models are divided by it in the loss; 1 with a server, whose log-probs are those of 1.
   * @default 1
   */
  kdTemperature?: number
  /** A text that the teacher alone reads before each prompt (context distillation): a system message of conversations, else the beginning of the prompt; the teacher may then be the student itself. */
  teacherContext?: string
  /** Training rows: jsonl, json, csv, tsv, parquet, jsonl.gz, or a hub data set (owner/name); or rows of the program, which are kept in the cache under the hash of their content. */
  data: Data<SftRow | PromptRow>
  /**
   * Maximum number of tokens of a row; longer rows are cut at the end.
   * @default 1024
   */
  maxLength?: number
  /** Maximum number of tokens of a prompt; longer prompts are cut at their beginning. */
  maxPromptLength?: number
  /**
   * Passes over the rows.
   * @default 3
   */
  epochs?: number
  /** Stop after N optimizer steps, even if `epochs` asks for more. */
  maxSteps?: number
  /**
   * Rows of a batch; a batch with many tokens is computed in parts (micro-batches).
   * @default 8
   */
  batchSize?: number
  /**
   * Peak learning rate.
   * @default 2e-5; with LoRA 2e-4
   */
  learningRate?: number
  /**
   * The optimizer, with the default settings of torch.optim.
   * @default 'adamw'
   */
  optimizer?: 'adamw' | 'adam' | 'sgd' | 'rmsprop'
  /**
   * Dropout of the adapter's input while training.
   * @default 0
   */
  loraDropout?: number
  /** Rows to evaluate on; or rows of the program. */
  evalData?: Data<SftRow | PromptRow>
  /** Evaluate every N steps (default: once an epoch). */
  evalEvery?: number
  /**
   * The metric that decides which checkpoint is the best and becomes the result; none: always the last.
   * @default 'eval_loss'
   */
  bestMetric?: string
  /** Early stopping: stop after N evaluations without a better one. */
  patience?: number
  /**
   * Random seed for the order of rows, dropout and new LoRA weights.
   * @default 42
   */
  seed?: number
  /** The defaults of TRL 1.16.0 for what you do not give, where they differ: learning-rate 2e-5, lora-target peft. */
  like?: 'trl'
}

/** Self-rewarding: the model writes prompts, answers them, scores its answers as a judge, and learns to prefer the best (iterative DPO): the settings of `selfreward`. */
export interface SelfrewardSettings extends TrainingSettings {
  /**
   * Number of iterations; in each the model writes new prompts, answers them, scores its answers and learns from the best against the worst.
   * @default 2
   */
  iterations?: number
  /**
   * How strongly the policy is kept close to the reference model; larger stays closer.
   * @default 0.1
   */
  beta?: number
  /** Who scores the answers instead of the model itself: a folder, hub id or run of a chat model, a reward model or a pair ranker, or a server (URL#MODEL). */
  judge?: string
  /** The same as `judge`. */
  helper?: string
  /**
   * New prompts to write in each iteration.
   * @default 256
   */
  numPrompts?: number
  /**
   * Answers to each prompt.
   * @default 4
   */
  numGenerations?: number
  /**
   * How often a judge that writes text scores an answer; the scores that can be read are averaged.
   * @default 3
   */
  numJudgements?: number
  /**
   * Sampling temperature of answers and judgements.
   * @default 0.7
   */
  temperature?: number
  /**
   * Nucleus sampling of answers and judgements.
   * @default 0.9
   */
  topP?: number
  /**
   * Sampling temperature of new prompts.
   * @default 0.6
   */
  promptTemperature?: number
  /**
   * Nucleus sampling of new prompts.
   * @default 0.9
   */
  promptTopP?: number
  /**
   * Maximum number of tokens of an answer, and of a new prompt.
   * @default 256
   */
  maxNewTokens?: number
  /**
   * Maximum number of tokens of a judgement.
   * @default 256
   */
  judgeMaxNewTokens?: number
  /** A text file with the judge's prompt, in which {prompt} and {response} stand for the two texts. */
  judgePrompt?: string
  /** A text file with the prompt for new prompts, in which {tasks} stands for the examples. */
  instructPrompt?: string
  /**
   * New prompts with one of these words are left out.
   * @default ["image","images","graph","graphs","picture","pictures","photo","file","files","map","maps","draw","plot","chart","video","audio","music","flowchart","diagram","website","url","http","https"]
   */
  blockWords?: string[]
  /** Another chat model or server that says after each iteration how often the new model answers better than the one before; nothing is learnt from it. */
  outsideJudge?: string
  /** Training rows: jsonl, json, csv, tsv, parquet, jsonl.gz, or a hub data set (owner/name); or rows of the program, which are kept in the cache under the hash of their content. */
  data: Data<SftRow>
  /**
   * Maximum number of tokens of a row; longer rows are cut at the end.
   * @default 1024
   */
  maxLength?: number
  /** Maximum number of tokens of a prompt; longer prompts are cut at their beginning. */
  maxPromptLength?: number
  /** Rows that teach judging: prompt (the judge prompt) and completion (reasons and score). */
  eftData?: string[]
  /** Answers that people ranked or rated, from which such rows are made: the model judges them, and what agrees with the people is kept. */
  rankings?: string[]
  /**
   * Passes over the pairs in each iteration.
   * @default 3
   */
  epochs?: number
  /** Maximum number of optimizer steps of each iteration. */
  maxSteps?: number
  /**
   * Rows of a batch; a batch with many tokens is computed in parts (micro-batches).
   * @default 8
   */
  batchSize?: number
  /**
   * Peak learning rate of the iterations; several are for one iteration each, the last for all later ones.
   * @default 5e-6; with LoRA 5e-5
   */
  learningRate?: number[]
  /**
   * The optimizer, with the default settings of torch.optim.
   * @default 'adamw'
   */
  optimizer?: 'adamw' | 'adam' | 'sgd' | 'rmsprop'
  /**
   * Passes over the seed rows, from which the first model learns.
   * @default 3
   */
  sftEpochs?: number
  /** Maximum number of optimizer steps on the seed rows. */
  sftMaxSteps?: number
  /**
   * Peak learning rate on the seed rows.
   * @default 2e-5; with LoRA 2e-4
   */
  sftLearningRate?: number
  /**
   * Dropout of the adapter's input while training.
   * @default 0
   */
  loraDropout?: number
  /** Answers that people ranked, not learnt from: how far the judge agrees with them, and prompts to compare models on; or rows of the program. */
  evalData?: Data<PreferenceRow | RankingRow>
  /** Instead of `evalData`: the fraction of `rankings` to hold out. */
  evalSplit?: number
  /**
   * Random seed for the order of rows, dropout and new LoRA weights.
   * @default 42
   */
  seed?: number
}

/** Learn from the rewards of its own completions, less a moving baseline (REINFORCE): the settings of `reinforce`. */
export interface ReinforceSettings<Row extends PromptRow = UnknownPromptRow> extends RlSettings<Row> {
  /**
   * What is subtracted from the rewards: the mean of all earlier rewards, their exponential moving average, the mean of the latest, or nothing; the first rollout uses its own mean.
   * @default 'mean'
   */
  baseline?: 'mean' | 'ema' | 'window' | 'none'
  /**
   * Momentum of the exponential moving average.
   * @default 0.9
   */
  baselineMomentum?: number
  /**
   * Number of rewards in the window.
   * @default 256
   */
  baselineWindow?: number
  /**
   * Divide the advantages of a probabilistic reward model by 1 + sigma.
   * @default true
   */
  regulariser?: boolean
  /**
   * Weight of KL(policy || reference), subtracted from the reward; 0 needs no reference model.
   * @default 0.05
   */
  klCoef?: number
  /**
   * Completions of each prompt.
   * @default 1
   */
  numGenerations?: number
  /**
   * Optimizer steps into which a rollout is divided.
   * @default 1
   */
  stepsPerGeneration?: number
  /**
   * Passes over each rollout.
   * @default 1
   */
  numIterations?: number
  /**
   * Prompts of a batch; a batch with many tokens is computed in parts (micro-batches).
   * @default 16
   */
  batchSize?: number
  /**
   * Peak learning rate.
   * @default 1e-5; with LoRA 1e-4
   */
  learningRate?: number
}

/** Learn from the rewards of its own completions, each less the mean of the others of its prompt (REINFORCE leave-one-out, RLOO): the settings of `rloo`. */
export interface RlooSettings<Row extends PromptRow = UnknownPromptRow> extends RlSettings<Row> {
  /**
   * Weight of KL(policy || reference), subtracted from the reward; 0 needs no reference model.
   * @default 0.05
   */
  klCoef?: number
  /**
   * Normalise the advantages of a rollout by their mean and standard deviation.
   * @default false
   */
  normalizeAdvantages?: boolean
  /**
   * Clip importance ratios to 1 - epsilon and 1 + epsilon.
   * @default 0.2
   */
  epsilon?: number
  /** A different upper bound, 1 + this (clip-higher; default: `epsilon`). */
  epsilonHigh?: number
  /**
   * Completions of each prompt.
   * @default 2
   */
  numGenerations?: number
  /**
   * Optimizer steps into which a rollout is divided.
   * @default 1
   */
  stepsPerGeneration?: number
  /**
   * Passes over each rollout.
   * @default 1
   */
  numIterations?: number
  /**
   * Prompts of a batch; a batch with many tokens is computed in parts (micro-batches).
   * @default 8
   */
  batchSize?: number
  /**
   * Peak learning rate.
   * @default 1e-5; with LoRA 1e-4
   */
  learningRate?: number
  /** The defaults of TRL 1.16.0 for what you do not give, where they differ: batch-size 4, learning-rate 1e-6, max-new-tokens 512, lora-dropout 0.05, lora-target peft. */
  like?: 'trl'
}

/** Learn from the rewards of its own completions, relative to the group of completions of the same prompt (GRPO, DAPO, Dr. GRPO, GSPO): the settings of `grpo`. */
export interface GrpoSettings<Row extends PromptRow = UnknownPromptRow> extends RlSettings<Row> {
  /**
   * How the loss is averaged over tokens; the last four also limit importance ratios in a way of their own.
   * @default 'dapo'
   */
  lossType?: 'grpo' | 'bnpo' | 'dr_grpo' | 'dapo' | 'cispo' | 'sapo' | 'vespo' | 'luspo'
  /**
   * Divide advantages by the standard deviation of the rewards of the group or the batch, or not at all.
   * @default 'group'
   */
  scaleRewards?: 'group' | 'batch' | 'none'
  /**
   * Clip importance ratios to 1 - epsilon and 1 + epsilon.
   * @default 0.2
   */
  epsilon?: number
  /** A different upper bound, 1 + this (clip-higher; default: `epsilon`). */
  epsilonHigh?: number
  /** Two-sided clipping: upper bound of the importance ratio where the advantage is negative. */
  delta?: number
  /**
   * One importance ratio for each token, or one for the whole completion (GSPO).
   * @default 'token'
   */
  importanceSamplingLevel?: 'token' | 'sequence'
  /**
   * Weight of KL(policy || reference), in the loss (k3); 0 needs no reference model.
   * @default 0
   */
  klCoef?: number
  /**
   * Multiply the KL penalty by the importance ratio, as TRL does.
   * @default false
   */
  useBiasCorrectionKl?: boolean
  /**
   * Weight of the entropy bonus.
   * @default 0
   */
  entropyCoef?: number
  /**
   * Train only on this fraction of the tokens, those of the highest entropy.
   * @default 1
   */
  topEntropyQuantile?: number
  /**
   * Completions of each prompt.
   * @default 8
   */
  numGenerations?: number
  /**
   * Optimizer steps into which a rollout is divided.
   * @default 1
   */
  stepsPerGeneration?: number
  /**
   * Passes over each rollout.
   * @default 1
   */
  numIterations?: number
  /**
   * Prompts of a batch; a batch with many tokens is computed in parts (micro-batches).
   * @default 8
   */
  batchSize?: number
  /**
   * Peak learning rate.
   * @default 1e-5; with LoRA 1e-4
   */
  learningRate?: number
  /** The defaults of TRL 1.16.0 for what you do not give, where they differ: batch-size 1, learning-rate 1e-6, max-new-tokens 512, use-bias-correction-kl true, lora-dropout 0.05, lora-target peft. */
  like?: 'trl'
}

/** Learn from the rewards of its own completions, with advantages from a value function (PPO, PPO-ptx): the settings of `ppo`. */
export interface PpoSettings<Row extends PromptRow = UnknownPromptRow> extends RlSettings<Row> {
  /** Train a separate value model that starts from this reward model (default: a new head on the policy). */
  valueModel?: string
  /**
   * Weight of the value loss, if the value head is on the policy.
   * @default 0.1
   */
  vfCoef?: number
  /**
   * Discount factor of later rewards, per token.
   * @default 1
   */
  gamma?: number
  /**
   * Lambda of generalised advantage estimation (GAE).
   * @default 0.95
   */
  lam?: number
  /**
   * Clip importance ratios to 1 - this and 1 + this.
   * @default 0.2
   */
  cliprange?: number
  /**
   * Clip values to within this of the value at the rollout.
   * @default 0.2
   */
  cliprangeValue?: number
  /**
   * Scale the rewards of the tokens to a standard deviation of 1; advantages are always whitened.
   * @default false
   */
  whitenRewards?: boolean
  /**
   * Weight of KL(policy || reference), subtracted from the reward of each token.
   * @default 0.05
   */
  klCoef?: number
  /**
   * Estimator of the KL divergence from one token (k1 is unbiased).
   * @default 'k1'
   */
  klEstimator?: 'k1' | 'k2' | 'k3'
  /** Adapt `klCoef` so that the KL divergence of a completion approaches this, in nats. */
  klTarget?: number
  /**
   * About how many completions an adaptive `klCoef` takes to double.
   * @default 10000
   */
  klHorizon?: number
  /** Pretraining rows to learn from in every update (PPO-ptx). */
  ptxData?: Data<SftRow>
  /**
   * Gamma of PPO-ptx: weight of the mean log-prob of a pretraining token.
   * @default 1
   */
  ptxCoef?: number
  /** Pretraining rows in each update (default: `batchSize`). */
  ptxBatchSize?: number
  /**
   * Completions of each prompt.
   * @default 1
   */
  numGenerations?: number
  /**
   * Minibatches in each pass (TRL's num_mini_batches).
   * @default 1
   */
  stepsPerGeneration?: number
  /**
   * Passes over each rollout (TRL's num_ppo_epochs).
   * @default 4
   */
  numIterations?: number
  /**
   * Prompts of a batch; a batch with many tokens is computed in parts (micro-batches).
   * @default 8
   */
  batchSize?: number
  /**
   * Peak learning rate of policy and value model.
   * @default 1e-5; with LoRA 1e-4
   */
  learningRate?: number
  /** The defaults of TRL 1.12.0 for what you do not give, where they differ: learning-rate 3e-6, max-new-tokens 53, temperature 0.7, lora-target peft. */
  like?: 'trl'
}

/** Learn from preferences between its own completions, ranked by their rewards (online DPO, K-wise): the settings of `onlineDpo`. */
export interface OnlineDpoSettings<Row extends PromptRow = UnknownPromptRow> extends RlSettings<Row> {
  /**
   * How strongly the policy is kept close to the reference model; larger stays closer.
   * @default 0.1
   */
  beta?: number
  /**
   * Completions of each prompt.
   * @default 2
   */
  numGenerations?: number
  /**
   * Optimizer steps into which a rollout is divided.
   * @default 1
   */
  stepsPerGeneration?: number
  /**
   * Passes over each rollout.
   * @default 1
   */
  numIterations?: number
  /**
   * Prompts of a batch; a batch with many tokens is computed in parts (micro-batches).
   * @default 8
   */
  batchSize?: number
  /**
   * Peak learning rate.
   * @default 1e-5; with LoRA 1e-4
   */
  learningRate?: number
  /** The defaults of TRL 1.16.0 for what you do not give, where they differ: learning-rate 5e-7, max-new-tokens 64, temperature 0.9, max-length 512, lora-target peft. */
  like?: 'trl'
}

/** The settings of `bestOfN`. */
export interface BestOfNSettings<Row extends PromptRow = UnknownPromptRow> {
  /** The policy: a folder in Hugging Face layout, a hub id or the name of a run. */
  model: string
  /** A PEFT adapter of that model. */
  adapter?: string
  /** Rows with prompts; rewards can read their other columns: jsonl, json, csv, tsv, parquet, jsonl.gz, or a hub data set (owner/name); or rows of the program, which are kept in the cache under the hash of their content. */
  data: Data<Row>
  /**
   * Maximum number of tokens of prompt and completion together.
   * @default 1024
   */
  maxLength?: number
  /** Leave out prompts of more tokens. */
  maxPromptLength?: number
  /**
   * The name that a column has in your file, if another one is expected: chosen=good.
   * @default {}
   */
  column?: Record<string, string>
  /** Read each plain prompt as a user's message (default: as the run of the model did in its training). */
  chat?: boolean
  /** Use only the first N rows. */
  maxSamples?: number
  /** What gives the rewards: a reward model (folder, hub id, run), a module of yours (rewards.ts), exact:COLUMN (1 if the completion equals the column), regex:PATTERN (1 if it is found), schema:FILE.json, arithmetic, or a judge (judge:MODEL, or URL#MODEL of a server); NAME=SPEC names it in the metrics; or functions of the program. */
  reward: RewardSource<Row> | RewardSource<Row>[]
  /** Weight of each reward in their sum (default: 1 each). */
  rewardWeights?: number[]
  /** What a judge does: single (the default) grades each completion from 1 to 10; pairwise compares the completions of a prompt, each pair in both orders, and rewards the share of comparisons won. */
  judgeMode?: 'single' | 'pairwise'
  /** A prompt for judges in place of attune's own, as `attune judge` takes it. */
  judgePrompt?: string
  /**
   * Normalise the scores of reward models by the mean and standard deviation that were saved with them.
   * @default false
   */
  normalizeRewards?: boolean
  /**
   * Timeout of a call of a reward function, in seconds.
   * @default 60
   */
  rewardTimeout?: number
  /**
   * N: completions of each prompt.
   * @default 16
   */
  numGenerations?: number
  /**
   * Maximum number of tokens of a completion.
   * @default 256
   */
  maxNewTokens?: number
  /**
   * Sampling temperature.
   * @default 1
   */
  temperature?: number
  /**
   * Nucleus sampling: draw from the most likely tokens that together have this probability.
   * @default 1
   */
  topP?: number
  /** Draw from the K most likely tokens. */
  topK?: number
  /**
   * Leave out tokens less likely than this fraction of the most likely one.
   * @default 0
   */
  minP?: number
  /**
   * Random seed of the sampling.
   * @default 42
   */
  seed?: number
  /**
   * The device to compute on.
   * @default 'auto'
   */
  device?: 'auto' | 'cpu' | 'webgpu' | 'cuda'
  /** CPU threads (default: one a core); they do not change any result. */
  threads?: number
  /**
   * How the products of the linear modules are computed: fp32, int8 (weights in 8 bits, computed exactly), int8-fast (inputs rounded to 8 bits as well).
   * @default 'fp32'
   */
  compute?: 'fp32' | 'int8' | 'int8-fast'
  /** Share the work out to machines that run "attune worker" at the same Redis (redis://HOST:6379); the result is the same. */
  workers?: string
  /** A folder that all machines see, or s3://BUCKET/PREFIX, for models, rows and results (default: over HTTP from this machine). */
  workersFiles?: string
  /** The address at which workers reach this machine (default: the one that Redis is reached from). */
  workersHost?: string
}

/** The settings of `compare`. */
export interface CompareSettings<Row extends PromptRow = UnknownPromptRow> {
  /** Models, runs or adapters of the model before training; one alone is compared with that model; NAME=RUN names one, NAME=RUN,RUN,... is one way of training with several seeds. */
  policies: string[]
  /** The model before training, from which rewards and KL are measured: a folder, a hub id or the name of a run (required). */
  base?: string
  /** Another name of `base`. */
  sft?: string
  /** Held-out prompts; or rows of the program, which are kept in the cache under the hash of their content. */
  data: Data<Row>
  /** A judge that may have trained one of the models: a reward model, a module, a verifier or a server, as `reward` of attune reinforce; NAME=SPEC names it; or functions of the program. */
  reward?: RewardSource<Row> | RewardSource<Row>[]
  /** A judge that none of the models was trained on, given as `reward` is; one of `reward` and `judge` is needed; or functions of the program. */
  judge?: RewardSource<Row> | RewardSource<Row>[]
  /** What a judge that is a language model does: single (the default) grades each completion from 1 to 10; pairwise compares it with that of the model before training at the same place, in both orders. */
  judgeMode?: 'single' | 'pairwise'
  /** A prompt for judges in place of attune's own, as `attune judge` takes it. */
  judgePrompt?: string
  /**
   * Completions of each model per prompt.
   * @default 4
   */
  samples?: number
  /**
   * Maximum number of tokens of a completion.
   * @default 128
   */
  maxNewTokens?: number
  /**
   * Of sampling the answers; KL is estimated at this temperature, too.
   * @default 1
   */
  temperature?: number
  /**
   * The name that a column has in your file, if another one is expected: chosen=good.
   * @default {}
   */
  column?: Record<string, string>
  /** A column of `data` that says which prompts are alike, such as their kind: intervals and tests take prompts of one value together, and want six values or more (default: each prompt stands for itself). */
  cluster?: string
  /** Use the first so many prompts. */
  maxSamples?: number
  /** Give each plain prompt as a user's message (default: if one of the runs was trained with `chat`). */
  chat?: boolean
  /**
   * Compare every checkpoint that a run kept, too: each is a point of reward against KL.
   * @default true
   */
  checkpoints?: boolean
  /**
   * Seconds that a call of a reward function may take.
   * @default 60
   */
  rewardTimeout?: number
  /**
   * Folder of the report, the answers and the rewards; what is there already is not computed again.
   * @default 'attune-compare'
   */
  output?: string
  /**
   * The device to compute on.
   * @default 'auto'
   */
  device?: 'auto' | 'cpu' | 'webgpu' | 'cuda'
  /** CPU threads (default: one a core); they do not change any result. */
  threads?: number
  /**
   * Of the answers, with the same random numbers for every model, and of the bootstrap.
   * @default 42
   */
  seed?: number
  /** Share the work out to machines that run "attune worker" at the same Redis (redis://HOST:6379); the result is the same. */
  workers?: string
  /** A folder that all machines see, or s3://BUCKET/PREFIX, for models, rows and results (default: over HTTP from this machine). */
  workersFiles?: string
  /** The address at which workers reach this machine (default: the one that Redis is reached from). */
  workersHost?: string
}

/** Length and sampling of a completion. */
export interface GenerateOptions {
  /**
   * Maximum number of tokens of a completion.
   * @default 256
   */
  maxNewTokens?: number
  /** Stop before this text. */
  stop?: string[]
  /**
   * Random seed of the sampling; results do not depend on the batch size.
   * @default 42
   */
  seed?: number
  /**
   * Sampling temperature; 0 is greedy decoding.
   * @default 1
   */
  temperature?: number
  /** Draw from the K most likely tokens. */
  topK?: number
  /** Nucleus sampling: draw from the most likely tokens that together have this probability. */
  topP?: number
  /** Leave out tokens less likely than this fraction of the most likely one. */
  minP?: number
  /** Locally typical sampling: draw from the tokens whose log-prob is nearest to the entropy, up to this probability. */
  typicalP?: number
  /** Top-H sampling: draw from the most likely tokens, up to this fraction of the entropy. */
  topH?: number
  /** Leave out tokens less likely than this. */
  epsilonCutoff?: number
  /** Above 1: make tokens of the prompt and the completion less likely to come again. */
  repetitionPenalty?: number
  /** Subtracted from the logit of every token that was generated. */
  presencePenalty?: number
  /** Subtracted from the logit of a token once for each time it was generated. */
  frequencyPenalty?: number
  /** Never generate this text. */
  badWords?: string[]
  /** Minimum number of tokens of a completion. */
  minNewTokens?: number
  /** Added to the logit of a token id. */
  logitBias?: Record<string, number>
}
