"""Text as it is compared when answers are scored: width, script, case, spaces and outer punctuation do not count.

The table holds 1,057 traditional characters with their simplified forms: the most common ones, nowhere near all that there are.
One character goes to one, without regard to its word: where simplification joined characters (乾 and 幹 both to 干), different
words may become equal. Both sides of a comparison go through the same table, so equal texts are never made unequal by it.
"""

import re
import unicodedata

__all__ = ["fold_width", "normalise", "simplify"]

_TRADITIONAL = (
    "萬與醜專業叢東絲丟兩嚴喪個豐臨為麗舉麼義烏樂喬習鄉書買亂爭於虧雲亞產畝親億僅從侖倉儀們價眾優夥會傘偉傳傷倫偽體餘傭俠"
    "侶僥偵側僑儉債傾償儲兒黨蘭關興養獸內岡冊寫軍農馮決況凍淨減湊幾鳳憑凱擊鑿劃劉則剛創刪別劑劍劇勸辦務動勵勁勞勢勝匯區醫"
    "華協單賣盧衛卻廠廳歷厲壓厭廁縣參雙發變敘葉號嘆後嚇嗎聽啟吳員嗚詠嚨響問喚嘩喲嘗噴團園圍國圖圓聖場壞塊堅壇壩墳墜壟墊牆"
    "壯聲殼壺處備複夠頭誇奪奮獎奧婦媽嬰孫學寧寶實寵審憲宮寬賓寢對尋導壽將爾塵堯屍盡層屬歲島嶺崗峽嶄幣帥師帳簾幟帶幫慶庫應"
    "廟龐廢廣開異棄張彌彎彈強歸當錄徹徑憶懺憂懷態憐總戀恆惡惱悅懸驚懼慘懲憊慚慣憤願懶戲戰戶撲執擴掃揚擾撫拋搶護報擔擬攏揀"
    "擁攔撥擇掛摯撓擋掙擠揮撈損撿換據擲攙攝擺搖攤敵斂數齋斬斷無舊時曠顯晝曬曉暈暫術機殺雜權條來楊傑極構樞棗槍楓櫃檸標棧棟"
    "欄樹樣橋檔夢檢樓橫櫻歡歐殘殲毀畢氣漢湯溝沒滬淚潔灑淺漿澆濁測濟渾濃濤澇渦潤澗漲澀淵漸漁滲溫灣濕潰滾滯滿濾濫濱灘瀟滅燈"
    "靈災爐點煉爛煙煩燒燙熱煥愛爺牽犧狀猶獨狹獅獄獵豬貓獻瑪環現瑣電畫暢療瘋瘡瘧癱癮皺盞鹽監蓋盜盤睜矚矯礦碼磚礎碩確禮禍稟"
    "離種積稱穢穩窮竊竅窯竄窩豎競筆筍籠築篩籌簽簡籃籬類糧緊糾紅約級紀緯純綱納縱紛紙紋紡線練組細織終絆紹繹經綁絨結繞繪給絡"
    "絕統絹繡繼績緒續綺繩維綿綜綠緩編緣縛縫縮繳網羅罰罷羨聾職聯聰肅腸膚腎腫脹脅膽脈臟腦膿腳脫臉膩騰艦艙艱藝節蘆蘇蘋莖薦蕩"
    "榮葷藥萊蓮獲瑩營蕭薩蔥蔣藍薔蘊虛蟲雖蝦蝕蟻蠶蠻蠟補襯襖襪襲裝褲見觀規視覽覺觸譽計訂認譏討讓訓議訊記講諱許論訟設訪證評"
    "識詐訴診詞譯試詩誠話誕詢該詳語誤誘說請諸諾讀課誰調諒談誼謀謎謝謠謙謹譜貝貞負貢財責賢敗賬貨質販貪貧購貯貫貳賤貼貴貸貿"
    "費賀賊賄資賦賭賞賜賠賴賺賽贊贈贏趙趕趨躍踐蹤軀車軌軒轉輪軟轟輕載較輔輛輩輝輸轄辭辯邊遼達遷過邁運還這進遠違連遲適選遜"
    "遞邏遺鄧鄭鄰鬱醬釀釋鑒針釘鈣鈍鈔鐘鋼鑰欽鈞鉤鈉鉀鐵鈴鉛銅鋁銀鑄鋪鏈銷鎖鋰鍋鋒鋅銳錯錢錫鑼錘錦鍵鋸鍛鍍鎮鏡長門閃閉闖閏"
    "閒間悶鬧聞閥閣閱闊隊陽陰陣階際陸陳險隨隱隸難雛靂霧靜韓韻頁頂頃項順須頑顧頓頒預領頸頻顆題顏額顛顫風飄飛飢飯飲飾飽飼餅"
    "餓館饑馬馳驅駁驢駛駕駐駝驗騎騙驟髒鬥魚魯鮮鯨鳥雞鳴鴨鴻鵝鷹麥黃齊齒齡龍龜臺裡裏隻樸徵準鬆週衝製範遊穀鬍瞭纔捨籤誌佈佔"
    "併採僱勳嶽峯甦羣衆溼昇綫爲囑齣壘檯颱薑瀏燦爍燭癢瀉嘔嚥閘膠傴攜擱繫係歎緻曆甯慾蔔鬚紮託濛矇幹乾榖麵彙復鹹訣詔註賒賡贖"
    "贍跡蹟踴躪轎輻輯轍邐鄲醞釣釵鈕鉅鉗鉑銘銜鋤錶鍾鎊鏟鐮鑲鑽闡隴霽鞏韋頌頰頹饒饋駱騷驕鬢魷鮑鰻鵲鶴鸚鹼黴齦齲瘍痙癲癬癥顱"
    "脛糰紗綢緞緬締緝縝縷纖纏纜"
)
_SIMPLIFIED = (
    "万与丑专业丛东丝丢两严丧个丰临为丽举么义乌乐乔习乡书买乱争于亏云亚产亩亲亿仅从仑仓仪们价众优伙会伞伟传伤伦伪体余佣侠"
    "侣侥侦侧侨俭债倾偿储儿党兰关兴养兽内冈册写军农冯决况冻净减凑几凤凭凯击凿划刘则刚创删别剂剑剧劝办务动励劲劳势胜汇区医"
    "华协单卖卢卫却厂厅历厉压厌厕县参双发变叙叶号叹后吓吗听启吴员呜咏咙响问唤哗哟尝喷团园围国图圆圣场坏块坚坛坝坟坠垄垫墙"
    "壮声壳壶处备复够头夸夺奋奖奥妇妈婴孙学宁宝实宠审宪宫宽宾寝对寻导寿将尔尘尧尸尽层属岁岛岭岗峡崭币帅师帐帘帜带帮庆库应"
    "庙庞废广开异弃张弥弯弹强归当录彻径忆忏忧怀态怜总恋恒恶恼悦悬惊惧惨惩惫惭惯愤愿懒戏战户扑执扩扫扬扰抚抛抢护报担拟拢拣"
    "拥拦拨择挂挚挠挡挣挤挥捞损捡换据掷搀摄摆摇摊敌敛数斋斩断无旧时旷显昼晒晓晕暂术机杀杂权条来杨杰极构枢枣枪枫柜柠标栈栋"
    "栏树样桥档梦检楼横樱欢欧残歼毁毕气汉汤沟没沪泪洁洒浅浆浇浊测济浑浓涛涝涡润涧涨涩渊渐渔渗温湾湿溃滚滞满滤滥滨滩潇灭灯"
    "灵灾炉点炼烂烟烦烧烫热焕爱爷牵牺状犹独狭狮狱猎猪猫献玛环现琐电画畅疗疯疮疟瘫瘾皱盏盐监盖盗盘睁瞩矫矿码砖础硕确礼祸禀"
    "离种积称秽稳穷窃窍窑窜窝竖竞笔笋笼筑筛筹签简篮篱类粮紧纠红约级纪纬纯纲纳纵纷纸纹纺线练组细织终绊绍绎经绑绒结绕绘给络"
    "绝统绢绣继绩绪续绮绳维绵综绿缓编缘缚缝缩缴网罗罚罢羡聋职联聪肃肠肤肾肿胀胁胆脉脏脑脓脚脱脸腻腾舰舱艰艺节芦苏苹茎荐荡"
    "荣荤药莱莲获莹营萧萨葱蒋蓝蔷蕴虚虫虽虾蚀蚁蚕蛮蜡补衬袄袜袭装裤见观规视览觉触誉计订认讥讨让训议讯记讲讳许论讼设访证评"
    "识诈诉诊词译试诗诚话诞询该详语误诱说请诸诺读课谁调谅谈谊谋谜谢谣谦谨谱贝贞负贡财责贤败账货质贩贪贫购贮贯贰贱贴贵贷贸"
    "费贺贼贿资赋赌赏赐赔赖赚赛赞赠赢赵赶趋跃践踪躯车轨轩转轮软轰轻载较辅辆辈辉输辖辞辩边辽达迁过迈运还这进远违连迟适选逊"
    "递逻遗邓郑邻郁酱酿释鉴针钉钙钝钞钟钢钥钦钧钩钠钾铁铃铅铜铝银铸铺链销锁锂锅锋锌锐错钱锡锣锤锦键锯锻镀镇镜长门闪闭闯闰"
    "闲间闷闹闻阀阁阅阔队阳阴阵阶际陆陈险随隐隶难雏雳雾静韩韵页顶顷项顺须顽顾顿颁预领颈频颗题颜额颠颤风飘飞饥饭饮饰饱饲饼"
    "饿馆饥马驰驱驳驴驶驾驻驼验骑骗骤脏斗鱼鲁鲜鲸鸟鸡鸣鸭鸿鹅鹰麦黄齐齿龄龙龟台里里只朴征准松周冲制范游谷胡了才舍签志布占"
    "并采雇勋岳峰苏群众湿升线为嘱出垒台台姜浏灿烁烛痒泻呕咽闸胶伛携搁系系叹致历宁欲卜须扎托蒙蒙干干谷面汇复咸诀诏注赊赓赎"
    "赡迹迹踊躏轿辐辑辙逦郸酝钓钗钮巨钳铂铭衔锄表钟镑铲镰镶钻阐陇霁巩韦颂颊颓饶馈骆骚骄鬓鱿鲍鳗鹊鹤鹦碱霉龈龋疡痉癫癣症颅"
    "胫团纱绸缎缅缔缉缜缕纤缠缆"
)

_SCRIPT = str.maketrans(_TRADITIONAL, _SIMPLIFIED)
_WIDTH = {0x3000: " ", **{wide: chr(wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F)}}
# Signs that carry meaning (- + % # $ & @ / =) are not outer punctuation, nor is a point before a digit.
_OUTER = r"\s,;:!?\"'()\[\]{}<>`*_~。、“”‘’【】《》〈〉「」『』…—·｡"
_LEADING = re.compile(rf"^(?:[{_OUTER}]|\.(?!\d))+")
_TRAILING = re.compile(rf"[.{_OUTER}]+$")


def fold_width(text: str) -> str:
    """Full-width ASCII and the ideographic space in half width; the length stays."""
    return text.translate(_WIDTH)


def simplify(text: str) -> str:
    """Traditional characters of the table in their simplified form; the length stays."""
    return text.translate(_SCRIPT)


def normalise(text: str) -> str:
    """The one spelling of a text for scoring. Idempotent.

    Full width becomes half width, traditional simplified, upper case folded (Unicode canonical caseless matching, D145), spaces
    become one, and punctuation at both ends goes, Chinese or English, unless nothing else is there. Unlike NFKC this keeps
    superscripts: 10² is not 102.
    """
    folded = unicodedata.normalize("NFD", fold_width(text)).casefold()
    spelt = simplify(unicodedata.normalize("NFC", folded))
    whole = " ".join(spelt.split())
    return _TRAILING.sub("", _LEADING.sub("", whole)) or whole
