"""Other ways of writing a word the lexicon knows: homophones, recognition errors, pinyin, dialect.

Each table maps what is written to what is meant. A replacement keeps the span of what was written, so evidence still points there.
Homophones are only listed where the written form hardly ever means itself.
"""

from typing import Final


def _read_pairs(block: str) -> dict[str, str]:
    return {
        written: meant for meant, *forms in (line.split() for line in block.strip().splitlines()) for written in forms
    }


HOMOPHONES: Final = _read_pairs("""
地址 地纸 地只 地止 地指 地扯 地阯 低址 弟址 第址 地知 地zhi di址 地zi 帝址
门牌 门派 门排 闷牌
订单 定单 钉单 盯单 订担 丁单 ding单 订dan
下单 夏单 吓单 下dan xia单 下担
取消 取肖 取削 取硝 取宵 去消 曲消 娶消 取xiao qu消 取销 趣消 屈消 取小订单 取笑订单 取效
退款 退宽 推款 退筐 退欵 退kuan tui款 退k 腿款 褪款 退筷
退货 推货 退活 退huo tui货 腿货
退掉 推掉 腿掉
发货 发活 法货 发huo fa货 罚货 发伙 花货
快递 快第 块递 筷递 快弟 快地 kuai递 快di 快的员
物流 无流 物留 物溜 雾流 物liu wu流 勿流
优惠券 优惠卷 优会券 优汇券 优惠劵 优惠圈 优惠quan 又会券 有惠券 优惠权
券 劵
张券 张卷
用券 用卷
领券 领卷
代金券 代金卷 代金圈
消费券 消费卷
红包 红苞 洪包 红bao hong包 烘包
满减 满剪 满简 慢减
补贴 补帖 bu贴
质量 只量 质亮 质良 治量 智量 质liang zhi量 制量
没货 煤货 没获 没活了 没huo mei货 梅货
缺货 却货 缺活 缺huo que货 确货
断货 短货 断活 断huo
库存 裤存 库村 ku存
降价 降架 降加 匠价 将价 降jia jiang价
差价 差加 叉价 差jia 插价
便宜 便一 便意 便易 便yi pian宜 偏宜 骗宜
太贵 太跪 太鬼 太桂 太gui 泰贵
重复 重付 崇复 从复 虫复 重fu chong复 重覆
卖家 卖加 麦家 卖jia 迈家
商家 商加 伤家 商jia shang家
店家 电家 店加
客服 可服 客fu ke服 克服说 客复
尺码 尺马 吃码 尺ma 齿码
颜色 颜涩 言色 颜se yan色
型号 型浩 xing号 性号
支付 支富 之付 只付 支fu zhi付
付款 付宽 副款 付kuan fu款 负款
扣款 扣宽 口款 扣kuan kou款
电话 电活 店话 电hua dian话
手机 手鸡 手几 手ji shou机
姓名 姓明 性名
收件人 收建人 收件仁 收间人 收贱人
收货人 收火人 收活人 收或人
发票 发飘 法票 发piao fa票
抬头 台头 苔头
不想要 不像要 不香要 不想药 bu想要 不xiang要 步想要
不要了 不药了 不yao了 bu要了 布要了 不腰了
写错 写挫 写措 写cuo xie错 血错
填错 田错 填cuo tian错 甜错
拍错 拍撮 拍措 拍cuo pai错
买错 买措 买cuo mai错 埋错
选错 选措 选cuo xuan错 宣错
下错 夏错 下cuo
错了 挫了
假货 贾货 假活 假huo jia货 架货
正品 正牌品 挣品 郑品
拦截 拦节 蓝截 lan截
搬家 班家 般家 搬加 ban家
发错 发措 法错
投诉 头诉 投素 投su tou诉
验货 厌货
收到 收倒 收dao
签收 千收 迁收
余额 鱼额 于额
花呗 花贝 花被 花坝
刷脸 耍脸
安装 按装 安状
赠品 增品 正赠品
预售 玉售
保质期 保值期 保质七
""")

DIALECT: Final = _read_pairs("""
不是 唔系 唔係 勿是 唔是 毋是
不 唔
没有 冇得 莫得 没得 木有 木得 么得 呒没 无得 冇有 米有 冒得
没 冇
了 咗 鸟了 咯 噜 嘞 喽
的 嘅
给 俾 畀
来 嚟
他 佢
他们 佢哋
我们 我哋 阿拉 俺们
你们 你哋 恁们
看 睇
拿 攞
哪里 边度 哪搭 哪哈 哪嘎达 哪疙瘩 哪儿
什么时候 几时 啥时候 啥时 啥前儿 多咱 好久能到 好久才到 啥子时候 几耐 什么时间 何时 啥时间 啥前
为什么 点解 为啥 凭啥 做咩
现在 而家 依家 这阵 这会儿 宜家先
怎么 咋个 啷个 咋 哪能 咋的 点样 啷块
什么 乜嘢 啥子 乜 啥 咩嘢 嘛玩意
这个 呢个 介个 迭个 这玩意儿 这玩应
这么 咁 恁个 恁么 介么 噶
便宜点 平啲 相因点 平D
便宜 相因
还没 仲未 仲冇 还冇 还未 都未 还木有 仲没
下单 落单
下错单 落错单
买多 买多咗
不要 勿要 唔使要 覅 不爱要
坏了 烂咗 瓢了 坏咯 歇菜了 撂挑子了
改回 改返
换回 换返
那 嗰
弄错 整错 搞错 整岔 整劈叉 整拧 整差 弄劈叉 整呲
我 俺 额滴
家里 屋头 屋企 屋里头
知道 晓得 晓的
便利店 超商
快递 宅配
""")

PINYIN_WORDS: Final = _read_pairs("""
地址 dizhi di_zhi
写错 xiecuo xie_cuo
填错 tiancuo tian_cuo
拍错 paicuo pai_cuo
买错 maicuo mai_cuo
选错 xuancuo xuan_cuo
点错 diancuo dian_cuo
下错 xiacuo xia_cuo
弄错 nongcuo nong_cuo
错了 cuole cuo_le
退款 tuikuan tui_kuan
退货 tuihuo tui_huo
取消 quxiao qu_xiao
订单 dingdan ding_dan
下单 xiadan xia_dan
不要了 buyaole bu_yao_le buyao_le
不想要了 buxiangyaole bu_xiang_yao_le buxiangyao_le
不想要 buxiangyao bu_xiang_yao buxiang_yao
不喜欢 buxihuan bu_xi_huan bu_xihuan
没货 meihuo mei_huo
缺货 quehuo que_huo
断货 duanhuo duan_huo
没有货 meiyouhuo meiyou_huo mei_you_huo
没有 meiyou mei_you
还没 haimei hai_mei
发货 fahuo fa_huo
快递 kuaidi kuai_di
物流 wuliu wu_liu
太慢 taiman tai_man
太贵 taigui tai_gui
便宜 pianyi pian_yi
降价 jiangjia jiang_jia
差价 chajia cha_jia
电话 dianhua dian_hua
手机 shouji shou_ji
号码 haoma hao_ma
名字 mingzi ming_zi
收件人 shoujianren shou_jian_ren
收货人 shouhuoren shou_huo_ren
发票 fapiao fa_piao
质量 zhiliang zhi_liang
假货 jiahuo jia_huo
坏了 huaile huai_le
优惠券 youhuiquan youhui_quan you_hui_quan
红包 hongbao hong_bao
积分 jifen ji_fen
重复 chongfu chong_fu
两单 liangdan liang_dan
两次 liangci liang_ci
卖家 maijia mai_jia
商家 shangjia shang_jia
客服 kefu ke_fu
让我 rangwo rang_wo
颜色 yanse yan_se
尺码 chima chi_ma
尺寸 chicun chi_cun
型号 xinghao xing_hao
付款 fukuan fu_kuan
支付 zhifu zhi_fu
扣款 koukuan kou_kuan
收到 shoudao shou_dao
什么时候 shenmeshihou shenme_shihou shen_me_shi_hou
怎么 zenme zen_me
马上 mashang ma_shang
赶紧 ganjin gan_jin
尽快 jinkuai jin_kuai
搬家 banjia ban_jia
搬家了 banjiale banjia_le
描述 miaoshu
不符 bufu bu_fu
不一样 buyiyang bu_yi_yang
骗子 pianzi pian_zi
垃圾 laji la_ji
多拍 duopai duo_pai
谢谢 xiexie xie_xie
你好 nihao ni_hao
帮我 bangwo bang_wo
""")

PINYIN_SYLLABLES: Final = _read_pairs("""
了 le
错 cuo
写 xie
填 tian
我 wo
你 ni
不 bu
要 yao
想 xiang
没 mei
还 hai
太 tai
慢 man
贵 gui
退 tui
改 gai
换 huan
买 mai
拍 pai
两 liang
次 ci
单 dan
钱 qian
货 huo
到 dao
是 shi
的 de
给 gei
就 jiu
也 ye
都 dou
一 yi
个 ge
忘 wang
用 yong
发 fa
收 shou
号 hao
人 ren
家 jia
""")
