"""Stage pretrain: the base models (pi_base, section 2).

A base trained from scratch is a language model of exploratory play, invalid actions and all: the counterpart of a
pretrained model that has seen what failing looks like. A published model is the base as it is: of the hub as a
reference to its files, of a package of the registry or a local folder as a copy in the precision that it was published
in.
"""

from w2sg.agents.windows import Windows
from w2sg.config.data import Role
from w2sg.config.models import Pretrained
from w2sg.config.packages import PACKAGES
from w2sg.config.params import Params, adapters_on
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError
from w2sg.contracts.files import write_json
from w2sg.contracts.trajectories import read_trajectories
from w2sg.environments.prompts import prompt
from w2sg.training import adapters, bases, hub, sources


def main(params: Params, *, role: Role, seed: int) -> None:
    """Read play and the tokenizer, write the base of one role and its learning curve.

    From scratch each seed has bases of its own, the largest chance in all that follows; published ones are the same
    under every seed.

    Raises:
        UserError: a model from scratch has no play to learn from; a published one cannot be used here, cannot play
            many conversations, or has no place for adapters that a later stage is to train.
    """
    architecture = getattr(params.models, role)
    log_path = layout.log("pretrain", f"{seed}-{role}")
    if isinstance(architecture, Pretrained):
        model, tokenizer = bases.load(architecture.base, revision=architecture.revision, dtype="auto")
        with sources.loading(architecture.base):
            sources.check_causal(model, name=architecture.base)
        # Refused here, hours before the stages that would play or train them; what is written does not depend on it.
        Windows(model.config)
        for key, lora in adapters_on(params, role).items():
            adapters.check_targets(lora, model, key=f"{key}.targets")
        source = architecture.base + (f" at {architecture.revision}" if architecture.revision else "")
        card = f"# {role} base\n\n{source}\n"
        if package := PACKAGES.get(architecture.base):
            card += f"Licence: {package.licence}.\n"
            card += f"{package.terms.notice}\n" if package.terms else ""
        if sources.on_hub(architecture.base):
            assert architecture.revision is not None, "the configuration sees to it"
            hub.pin(
                architecture.base, tokenizer, revision=architecture.revision, folder=layout.base(seed, role), card=card
            )
        else:
            bases.save(model, tokenizer, layout.base(seed, role), card=card)
        write_json(log_path, [])
        return
    from w2sg.training.copying import copying_rows
    from w2sg.training.sft import fit, train_sft
    from w2sg.training.tokenizer import read_tokenizer

    training = getattr(params.pretrain, role)
    tokenizer = read_tokenizer(layout.tokenizer())
    model = bases.create(architecture, tokenizer=tokenizer, context=params.models.context, seed=seed)
    copied = ""
    if training.copying is not None:
        rows = copying_rows(
            training.copying, vocabulary=len(tokenizer), first=len(tokenizer.all_special_ids), seed=seed
        )
        optimization = training.copying.optimization
        model, log = fit(model, tokenizer, rows, optimization=optimization, lora=None, seed=seed, name="copying")
        copied = f"Copying of {len(rows)} random sequences first: loss {log[0]['loss']:.2f} to {log[-1]['loss']:.2f}.\n"
    conversations = []
    for name, settings in params.environments.items():
        text = prompt(name, style=settings.prompt)
        conversations += [each.messages(prompt=text) for each in read_trajectories(layout.play(name))]
    if not conversations:
        raise UserError(
            f"{layout.DATA / 'play'}: nobody has played, as all training tasks are explored; a model from scratch "
            "learns from play, so lower explore.tasks"
        )
    model, log = train_sft(
        model, tokenizer, conversations, optimization=training.play, lora=None, assistant_only=False, seed=seed
    )
    size = sum(weight.numel() for weight in model.parameters())
    read = f"Trained from scratch on {len(conversations)} episodes of play; {size:,} parameters.\n"
    card = f"# {role} base, seed {seed}\n\n{read}{copied}"
    bases.save(model, tokenizer, layout.base(seed, role), card=card)
    write_json(log_path, log)
